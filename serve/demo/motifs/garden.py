"""Things for the garden, the balcony and the windowsill."""

from serve.demo.sheet import (
    BRASS,
    COAL,
    LEAF,
    LEAF_DARK,
    PAPER,
    PETALS,
    SOIL,
    STEEL,
    STEEL_DARK,
    STEM,
    THREAD,
    WOOD,
    WOOD_DARK,
    Motif,
    Sheet,
)  # fmt: skip


def _bush(s: Sheet, x: float, y: float, size: float) -> None:
    kind = s.pick(3)
    for index, angle in enumerate((-150, -30, -125, -55, -105, -75, -90)):
        long = size * (0.6 + index * 0.08)
        if kind == 0:
            s.leaf(x, y, long, angle, LEAF if index % 2 else LEAF_DARK)
            continue
        with s.moved(f"rotate({angle + 90} {x} {y})"):
            s.line(f"M{x} {y}V{y - long * 0.8:.0f}", STEM, 4)
            if kind == 1:
                s.dot(x, y - long * 0.8, size * 0.16, LEAF if index % 2 else LEAF_DARK)
            else:
                s.leaf(x, y - long * 0.4, 26, -150, LEAF)
                s.flower(x, y - long * 0.8, size * 0.13, PETALS[index % 2 * 2])


def plantpot(s: Sheet) -> None:
    s.shadow(rx=86)
    _bush(s, 200, 196, 130)
    s.body("M128 204H272L254 306Q252 320 238 320H162Q148 320 146 306Z")
    s.box(116, 186, 168, 32, s.tone, 7)
    s.box(116, 210, 168, 8, s.dark, 4, 0.6)


def hanging(s: Sheet) -> None:
    s.line("M200 0V50M200 50L112 190M200 50L288 190", "#cbb894", 5)
    _bush(s, 200, 190, 90)
    for x, long in ((132, 120), (168, 150), (236, 140), (266, 96)):
        s.line(f"M{x} 196q-14 {long / 2} 0 {long}", STEM, 4)
        for step in range(24, long, 24):
            s.leaf(x - 5, 196 + step, 20, 150 if step % 48 else 30, LEAF)
    s.body("M104 190H296Q292 262 240 276H160Q108 262 104 190Z")
    s.oval(200, 190, 96, 13, s.dark)
    _bush(s, 200, 192, 50)


def trough(s: Sheet) -> None:
    s.shadow(rx=150)
    for x in (100, 166, 234, 300):
        _bush(s, x, 220, 84)
    s.body("M56 220H344L328 306Q326 318 314 318H86Q74 318 72 306Z", decorated=False)
    s.box(48, 212, 304, 16, s.light, 7)
    s.line("M66 250H334M70 272H330", s.dark, 3, 0.4)


def _handle(s: Sheet) -> None:
    s.path("M186 226H214L220 330Q220 348 200 348T180 330Z", s.tone)
    s.grain(184, 240, 32, 90, 3)
    s.box(182, 214, 36, 18, BRASS, 5)


def trowel(s: Sheet) -> None:
    with s.moved("rotate(32 200 205)"):
        s.line("M200 216V160", STEEL_DARK, 12)
        s.path("M152 150Q158 60 200 36Q242 60 248 150Q240 172 200 174T152 150Z", STEEL)
        s.path("M200 36Q242 60 248 150Q240 172 200 174Z", STEEL_DARK, 0.6)
        _handle(s)


def fork(s: Sheet) -> None:
    with s.moved("rotate(-30 200 205)"):
        s.line("M200 216V160", STEEL_DARK, 12)
        s.line("M156 52V130Q156 164 200 164T244 130V52M200 48V164", STEEL_DARK, 13)
        s.line("M154 52V130Q154 162 198 162M198 48V160", STEEL, 6)
        _handle(s)


def dibber(s: Sheet) -> None:
    with s.moved("rotate(36 200 205)"):
        s.path("M184 270H216L204 350Q200 360 196 350Z", STEEL)
        s.path("M178 120H222L216 274H184Z", "url(#body)")
        for y in (170, 196, 222, 248):
            s.line(f"M{182 + (y - 150) // 26} {y}H{218 - (y - 150) // 26}", s.deep, 4)
        s.box(136, 84, 128, 40, s.tone, 20)
        s.grain(146, 88, 108, 32, 3)


def secateurs(s: Sheet) -> None:
    with s.moved("rotate(28 200 205)"):
        s.line("M208 190Q250 250 236 344", s.dark, 22)
        s.line("M192 190Q150 250 164 344", s.tone, 22)
        s.path("M206 196Q150 150 170 66Q214 96 222 178Z", STEEL)
        s.path("M196 196Q236 176 246 112Q222 112 186 170Z", STEEL_DARK)
        s.line("M180 232q20 14 40 0", BRASS, 6)
        s.dot(202, 188, 14, BRASS)
        s.dot(202, 188, 5, COAL)
    s.line("M92 108q40-24 76 4", STEM, 7)
    s.leaf(104, 100, 40, -70, LEAF)
    s.leaf(128, 96, 36, -40, LEAF_DARK)


def seeds(s: Sheet) -> None:
    with s.moved(f"rotate({-9 + s.pick(18)} 200 205)"):
        s.box(112, 66, 186, 274, COAL, 6, 0.13)
        s.box(106, 58, 186, 274, PAPER, 6)
        s.box(106, 58, 186, 40, s.tone, 6)
        s.box(106, 92, 186, 6, s.dark)
        s.box(122, 112, 154, 148, s.pale, 8)
        petal = PETALS[s.pick(5)]
        for x, y in ((158, 170), (204, 144), (246, 176)):
            s.line(f"M200 254Q{x} 220 {x} {y}", STEM, 5)
            s.leaf(x, y + 50, 26, -20 if x > 200 else -160, LEAF)
            s.flower(x, y, 24, petal if x != 204 else s.tone)
        s.box(140, 276, 118, 10, s.dark, 5)
        s.box(158, 296, 82, 7, s.light, 3)


def can(s: Sheet) -> None:
    s.shadow(190, rx=104)
    s.line("M232 290L318 166", s.dark, 17)
    s.path("M292 142L352 176L344 190L284 156Z", s.tone)
    if s.pick(2):
        s.line("M118 196C90 110 236 96 240 190", s.dark, 12)
    else:
        s.line("M122 216C40 200 60 300 122 292", s.dark, 12)
    s.body("M112 190H248L262 306Q262 320 246 320H114Q98 320 98 306Z")
    s.oval(180, 190, 68, 13, s.deep)
    s.oval(180, 188, 68, 13, s.light, 0.4)


def mister(s: Sheet) -> None:
    s.shadow(rx=72)
    for x, y in ((84, 92), (66, 116), (100, 124), (78, 144), (58, 90)):
        s.dot(x, y, 4, "#8fb4cc")
    s.box(186, 128, 28, 44, s.dark, 4)
    s.path("M124 112H232Q252 112 252 132H124Z", s.dark)
    s.line("M226 136q22 20 14 44", s.deep, 9)
    s.body("M176 168H224Q272 206 266 286Q264 320 232 320H168Q136 320 134 286Q128 206 176 168Z", decorated=False)
    s.line("M160 214Q148 252 154 292", THREAD, 9, 0.45)


def barrel(s: Sheet) -> None:
    s.shadow(rx=128)
    d = "M82 164H318Q318 260 286 320H114Q82 260 82 164Z"
    s.body(d, decorated=False)
    with s.within(d):
        for x in range(104, 310, 32):
            s.line(f"M{x} 150Q{x + (200 - x) // 14} 240 {x + (200 - x) // 6} 330", s.dark, 3, 0.5)
        s.box(70, 196, 260, 16, STEEL_DARK)
        s.box(70, 272, 260, 16, STEEL_DARK)
    s.oval(200, 164, 118, 22, s.dark)
    s.oval(200, 166, 104, 16, "#7fa3b5")
    s.oval(160, 166, 30, 7, LEAF)
    s.oval(228, 170, 24, 6, LEAF_DARK)
    s.flower(164, 158, 15, PETALS[s.pick(2) * 3])


def birdhouse(s: Sheet) -> None:
    s.line("M56 330Q70 200 62 60M62 160Q30 130 24 96", WOOD_DARK, 13)
    s.leaf(60, 110, 50, -30, LEAF)
    s.leaf(60, 196, 44, -10, LEAF_DARK)
    s.path("M124 160L214 90L304 160V318H124Z", "url(#body)")
    s.line("M124 200H304M124 240H304M124 280H304", s.dark, 3, 0.4)
    s.line("M104 172L214 84L324 172", s.deep, 18)
    if s.pick(2):
        s.box(148, 170, 132, 62, COAL, 6)
    else:
        s.dot(214, 206, 28, COAL)
        s.line("M214 256v20", WOOD, 10)
    s.oval(214, 226, 17, 14, PETALS[s.pick(3)])
    s.dot(224, 210, 11, PETALS[0])
    s.path("M233 208l14 5l-13 5Z", BRASS)
    s.dot(227, 207, 2.5, COAL)


def feeder(s: Sheet) -> None:
    s.line("M200 0V84", COAL, 4)
    s.path("M138 116Q150 80 200 78T262 116Z", s.tone)
    s.box(154, 116, 92, 176, "#e4ecec", 6, 0.9)
    s.box(154, 172, 92, 120, "#c9a467", 4, 0.85)
    for x, y in ((168, 190), (204, 210), (228, 186), (180, 240), (222, 262), (196, 276)):
        s.oval(x, y, 6, 9, COAL, 0.6)
    s.box(140, 288, 120, 18, s.dark, 7)
    s.line("M120 216H154M246 250H282M120 276H154", s.dark, 7)
    s.oval(112, 192, 26, 18, "#d9b040")
    s.dot(126, 176, 13, "#3f5f86")
    s.path("M137 174l13 4l-13 5Z", COAL)
    s.leaf(92, 196, 40, 160, "#3f5f86")


def sack(s: Sheet) -> None:
    s.shadow(rx=104)
    s.body("M118 128Q104 220 108 300Q108 320 130 320H270Q292 320 292 300Q296 220 282 128Z", decorated=False)
    s.path("M118 130L128 92H272L282 130Z", s.light)
    s.line("M122 130H278", s.dark, 5, 0.6)
    s.box(138, 168, 124, 104, PAPER, 8)
    s.dot(200, 212, 26, s.tone)
    s.leaf(200, 232, 40, -120 + s.pick(60), LEAF)
    s.box(160, 250, 80, 8, s.dark, 4)


def bath(s: Sheet) -> None:
    s.shadow(rx=80)
    s.path("M176 232H224L240 310Q240 320 200 320T160 310Z", s.dark)
    s.body("M60 196H340Q324 248 236 252H164Q76 248 60 196Z")
    s.oval(200, 196, 140, 26, s.light)
    s.oval(200, 200, 118, 18, "#9dc0cf")
    s.line("M140 202q20-8 40 0M226 206q18-8 36 0", THREAD, 3, 0.8)
    s.oval(276, 160, 30, 22, SOIL)
    s.oval(284, 168, 18, 14, "#c9603f")
    s.dot(256, 138, 16, SOIL)
    s.path("M242 136l-16 6l16 4Z", BRASS)
    s.leaf(300, 158, 44, -20, SOIL)


MOTIFS: dict[str, Motif] = {
    made.__name__: made
    for made in (
        plantpot, hanging, trough, trowel, fork, dibber, secateurs, seeds,
        can, mister, barrel, birdhouse, feeder, sack, bath,
    )
}  # fmt: skip
