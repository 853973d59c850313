"""Things for the rooms one lives in."""

from serve.demo.sheet import BRASS, COAL, LEAF, LEAF_DARK, PAPER, PETALS, STEM, THREAD, WOOD, WOOD_DARK, Motif, Sheet

GLOW = "url(#glow)"


def desklamp(s: Sheet) -> None:
    s.shadow(150, rx=80)
    s.dot(262, 214, 110, GLOW)
    s.line("M150 312L120 204L214 112", COAL, 9)
    s.dot(120, 204, 10, BRASS)
    s.dot(214, 112, 9, BRASS)
    s.path("M206 96L290 132Q300 176 262 198L190 124Z", "url(#body)")
    s.path("M262 198L292 136Q308 184 262 198Z", "#fff0bd")
    s.path("M96 318Q98 294 150 294T204 318Z", s.dark)


def lamp(s: Sheet) -> None:
    s.dot(200, 160, 150, GLOW)
    s.shadow(rx=76)
    s.body("M200 210C250 210 270 250 262 284Q252 320 200 320T138 284C130 250 150 210 200 210Z")
    s.box(192, 188, 16, 26, BRASS)
    s.path("M148 84H252L292 196H108Z", PAPER)
    s.path("M148 84H172L150 196H108Z", THREAD)
    s.path("M232 84H252L292 196H252Z", s.pale, 0.7)


def floorlamp(s: Sheet) -> None:
    s.dot(200, 110, 140, GLOW)
    s.shadow(y=346, rx=96, ry=10)
    for d in ("M196 168L128 344", "M204 168L272 344", "M200 168V346"):
        s.line(d, s.tone, 10)
    s.line("M160 268H240", s.dark, 5)
    s.path("M136 60H264L286 168H114Z", PAPER)
    s.path("M136 60H160L148 168H114Z", THREAD)
    s.box(114, 162, 172, 6, s.dark, opacity=0.4)


def pendant(s: Sheet) -> None:
    s.dot(200, 250, 140, GLOW)
    s.line("M200 0V96", COAL, 4)
    s.box(184, 92, 32, 34, BRASS, 6)
    s.body("M184 124H216C232 176 308 176 322 236H78C92 176 168 176 184 124Z", decorated=False)
    s.oval(200, 236, 122, 17, s.deep)
    s.oval(200, 238, 108, 12, "#fff3c9")
    s.line("M112 214Q150 180 180 152", THREAD, 7, 0.35)


def nightlight(s: Sheet) -> None:
    s.dot(200, 190, 160, GLOW)
    s.shadow(rx=66)
    s.path("M168 204H232Q228 270 250 308Q250 320 200 320T150 308Q172 270 168 204Z", PAPER)
    s.path("M84 208C84 130 140 92 200 92S316 130 316 208Q316 224 200 224T84 208Z", "url(#body)")
    for x, y, r in ((140, 160, 15), (200, 130, 18), (256, 164, 14), (196, 186, 10)):
        s.dot(x, y, r, THREAD, 0.8)


def _flame(s: Sheet, x: float, y: float) -> None:
    s.dot(x, y - 10, 46, GLOW)
    s.line(f"M{x} {y + 12}v-12", COAL, 3)
    s.path(f"M{x} {y - 34}q18 26 0 36q-18-10 0-36Z", "#f2a83b")
    s.path(f"M{x} {y - 18}q9 12 0 18q-9-6 0-18Z", "#fff0b8")


def candle(s: Sheet) -> None:
    s.shadow(rx=120)
    for x, top in ((112, 150), (174, 112), (236, 138), (294, 170))[: 3 + s.pick(2)]:
        s.path(f"M{x - 19} {top}H{x + 19}V318Q{x} 326 {x - 19} 318Z", "url(#body)")
        s.path(f"M{x - 19} {top}q19-10 38 0v14q-8 20-14 2q-12 12-24-8Z", s.pale)
        _flame(s, x, top - 10)


def jarcandle(s: Sheet) -> None:
    s.shadow(rx=84)
    s.path("M124 150H276V300Q276 320 256 320H144Q124 320 124 300Z", "#dfe8e6", 0.9)
    s.body("M134 196H266V298Q266 310 254 310H146Q134 310 134 298Z", decorated=False)
    s.oval(200, 196, 66, 10, s.light)
    _flame(s, 200, 178)
    s.oval(200, 150, 76, 12, THREAD, 0.55)
    s.box(152, 222, 96, 62, PAPER, 6)
    s.leaf(200, 274, 40, -90 - s.pick(30), s.dark)
    s.leaf(200, 274, 32, -40, s.tone)


def candlestick(s: Sheet) -> None:
    s.shadow(rx=120)
    s.line("M292 296c44-20 52 22 14 18", s.dark, 11)
    s.path("M84 292H316Q304 322 200 322T84 292Z", "url(#body)")
    s.oval(200, 292, 116, 15, s.light)
    s.box(172, 244, 56, 48, s.dark, 6)
    s.box(182, 132, 36, 118, PAPER, 4)
    s.path("M182 134q18-8 36 0v16q-8 14-14 0q-10 12-22-2Z", THREAD)
    _flame(s, 200, 122)


def throw(s: Sheet) -> None:
    s.shadow(rx=140)
    for y, fill in ((268, s.dark), (220, s.tone), (172, s.light)):
        s.box(66, y, 268, 50, fill, 22)
        for x in range(84, 320, 15):
            s.line(f"M{x} {y + 14}l7 10l-7 10" if s.pick(5) or y != 220 else f"M{x} {y + 24}h8", THREAD, 2, 0.5)
    s.path("M120 124H280Q296 124 296 140V230H104V140Q104 124 120 124Z", s.pale)
    for x in range(108, 296, 12):
        s.line(f"M{x} 230v{16 + x % 5}", s.pale, 4)
    s.line("M124 146H276M124 166H276M124 204H276", s.tone, 5, 0.8)


def cushion(s: Sheet) -> None:
    s.shadow(y=326, rx=126)
    s.body("M84 108Q200 130 316 108Q294 212 318 322Q200 298 82 322Q106 212 84 108Z")
    s.line("M84 108Q200 130 316 108Q294 212 318 322Q200 298 82 322Q106 212 84 108Z", s.dark, 4, 0.6)
    s.path("M108 130Q160 150 240 136Q170 190 130 286Q124 210 108 130Z", THREAD, 0.14)


def vase(s: Sheet) -> None:
    s.shadow(rx=70)
    for x, y in ((138, 74), (204, 48), (262, 84))[: 2 + s.pick(2)]:
        s.line(f"M200 180Q{(x + 200) / 2 + 6} 130 {x} {y}", STEM, 5)
        s.leaf((x + 200) / 2, 124, 34, -70 + (x - 200) / 2, LEAF)
        s.flower(x, y, 26, PETALS[s.pick(5)])
    if s.pick(2):
        s.body("M176 160H224Q226 190 252 214Q282 250 256 300Q246 320 200 320T144 300Q118 250 148 214Q174 190 176 160Z")
    else:
        s.body("M158 160H242Q226 200 248 240Q262 290 238 320H162Q138 290 152 240Q174 200 158 160Z")
    s.oval(200, 160, 26, 7, s.deep)


def jug(s: Sheet) -> None:
    s.shadow(rx=80)
    for x, y in ((150, 96), (200, 70), (246, 92)):
        s.line(f"M196 170Q{x + 8} 130 {x} {y}", STEM, 5)
        s.path(f"M{x - 18} {y - 30}q9 10 18-4q9 14 18 4q6 44-18 46q-24-2-18-46Z", PETALS[s.pick(4)])
    s.line("M262 190C326 186 320 286 256 284", s.dark, 16)
    s.body("M130 156Q116 150 112 142H260Q250 190 266 234Q280 300 252 320H148Q120 300 134 234Q146 190 130 156Z")
    s.leaf(186, 168, 70, -150, LEAF_DARK)


def _face(s: Sheet, x: float, y: float, r: float, numerals: bool) -> None:
    s.dot(x, y, r, PAPER)
    for hour in range(12):
        with s.moved(f"rotate({hour * 30} {x} {y})"):
            thick = numerals and hour % 3 == 0
            s.line(f"M{x} {y - r + 10}v{14 if thick else 7}", COAL, 6 if thick else 3)
    with s.moved(f"rotate({300 + s.pick(40)} {x} {y})"):
        s.line(f"M{x} {y + 8}V{y - r * 0.5}", COAL, 7)
    with s.moved(f"rotate({40 + s.pick(60)} {x} {y})"):
        s.line(f"M{x} {y + 12}V{y - r * 0.74}", COAL, 5)
    s.dot(x, y, 6, BRASS)


def clock(s: Sheet) -> None:
    if s.pick(2):
        s.dot(206, 212, 136, COAL, 0.13)
        s.dot(200, 204, 134, COAL)
    else:
        s.shadow(rx=130)
        s.box(72, 76, 256, 246, "url(#body)", 20)
        s.dot(200, 200, 114, BRASS)
    _face(s, 200, 202, 106, numerals=True)


def alarm(s: Sheet) -> None:
    s.shadow(rx=92)
    s.line("M140 290L118 320M260 290L282 320", s.dark, 14)
    for x, turn in ((138, -34), (262, 34)):
        with s.moved(f"rotate({turn} {x} 112)"):
            s.path(f"M{x - 40} 124q40-56 80 0Z", s.dark)
    s.line("M200 108V84M182 84H218", COAL, 8)
    s.dot(200, 212, 110, s.dark)
    s.dot(200, 210, 104, s.tone)
    _face(s, 200, 210, 84, numerals=bool(s.pick(2)))


def tote(s: Sheet) -> None:
    s.shadow(rx=128)
    s.line("M140 176C130 60 270 60 260 176", WOOD_DARK, 10)
    s.leaf(230, 170, 110, -70, LEAF)
    s.leaf(244, 172, 96, -50, LEAF_DARK)
    s.line("M170 170l-22-92", WOOD, 16)
    d = "M62 168H338L306 306Q302 320 286 320H114Q98 320 94 306Z"
    s.path(d, s.tone)
    with s.within(d):
        for row, y in enumerate(range(176, 326, 17)):
            for x in range(50 + row % 2 * 15, 350, 30):
                s.line(f"M{x} {y}l15 9l15-9", s.dark if row % 2 else s.light, 4, 0.7)
    s.line("M148 156C138 84 262 84 252 156", WOOD_DARK, 10)


MOTIFS: dict[str, Motif] = {
    made.__name__: made
    for made in (
        desklamp, lamp, floorlamp, pendant, nightlight, candle, jarcandle, candlestick,
        throw, cushion, vase, jug, clock, alarm, tote,
    )
}  # fmt: skip
