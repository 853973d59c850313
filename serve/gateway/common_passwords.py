"""Passwords (and the words at their core) that are tried first: the commonest of leaked lists, and some of our own."""

from pathlib import Path

_WORDS = """
123456 1234567 12345678 123456789 1234567890 12345678910 0123456789 9876543210 987654321 0987654321 1122334455
111111 1111111111 0000000000 000000 123123 123123123 1231231231 121212 112233 654321 666666 696969 777777 888888
password passw0rd passwort passwords password1 password12 password123 password1234 password12345 password123456
p@ssw0rd p@ssword pa55word pa55w0rd passphrase mypassword yourpassword thepassword newpassword oldpassword
passwordpassword changeme changeme123 changeit letmein letmein123 letmeinnow welcome welcome1 welcome123
welcome1234 welcomeback qwerty qwerty1 qwerty12 qwerty123 qwerty1234 qwerty12345 qwertyuiop qwertyui qwertz
qwertzuiop azerty azertyuiop asdfgh asdfghjkl asdfasdf asdfasdfasdf zxcvbn zxcvbnm zxcvbnm123 qazwsx qazwsxedc
qazwsxedcrfv 1qaz2wsx 1qaz2wsx3edc 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4 q1w2e3r4t5 qweasd qweasdzxc
qwe123 qweqwe abc123 abcd1234 abcdef abcdefg abcdefgh abcdefghij abcdefghijk a1b2c3 a1b2c3d4 a1b2c3d4e5 abcabc
admin admin1 admin123 admin1234 admin12345 administrator adminadmin root rootroot toor superuser superadmin
user username user1234 testuser test tester testing test123 test1234 test12345 testtest testtesttest guest
guestguest default secret secret123 secretsecret topsecret private login loginlogin access access14 master
masterkey trustno1 whatever nothing nopassword iloveyou iloveyou1 iloveyou123 iloveyou2 loveyou lovely lover
loveme forever sunshine sunshine1 princess princess1 dragon dragon123 monkey monkey123 shadow superman
superman1 batman batman123 spiderman pokemon pokemon123 starwars football football1 baseball basketball soccer
hockey liverpool chelsea arsenal manchester barcelona juventus michael jennifer jordan jordan23 michelle jessica
ashley charlie thomas daniel andrew matthew joshua anthony robert william george nicole amanda hannah samantha
freedom mustang mercedes ferrari porsche corvette harley yamaha computer internet samsung google facebook
microsoft windows apple iphone android killer ninja hunter ranger buster tigger ginger pepper cookie cheese
banana chocolate butterfly flower summer winter spring autumn monday friday january february december
hello hello123 hellohello helloworld goodbye blessed jesus jesuschrist christ angel angels heaven matrix merlin
diamond silver golden orange purple yellow rainbow unicorn garfield snoopy mickey donald elephant zaq12wsx
zaq1zaq1 aa123456 aaaaaaaaaa asdf1234 asdf123456 qwer1234 qwerasdf qwerasdfzxcv pass1234 pass12345 passpass
passpasspass correcthorsebatterystaple correcthorse shopping troupe ecommerce customer
"""
_LISTED = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
COMMON = frozenset(_WORDS.split()).union(line for line in _LISTED if not line.startswith("#"))
