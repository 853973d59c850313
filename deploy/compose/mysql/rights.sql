-- Of the image's first start. Each service has a database of its own, troupe_users and so on, and `troupe setup` makes
-- them: so the user may do anything in databases whose names begin like that, and nothing elsewhere.
GRANT ALL PRIVILEGES ON `troupe\_%`.* TO 'troupe'@'%';
