"""Things of the kitchen."""

from serve.demo.sheet import BRASS, COAL, PAPER, SOIL, STEEL, STEEL_DARK, THREAD, WOOD_DARK, Motif, Sheet


def mug(s: Sheet) -> None:
    s.shadow(195, rx=95)
    s.line("M258 165C335 155 335 268 256 264", s.dark, 20)
    s.body("M118 130H262V285Q262 320 228 320H152Q118 320 118 285Z")
    s.oval(190, 130, 72, 15, s.light)
    s.oval(190, 132, 62, 10, (SOIL, "#8a5a2b", s.deep)[s.pick(3)])
    for x in (160, 190) if s.pick(2) else ():
        s.line(f"M{x} 108q-12-16 0-30t0-30", "#b9b2a6", 5, 0.5)


def plate(s: Sheet) -> None:
    s.oval(206, 214, 138, 134, COAL, 0.14)
    d = "M65 205a135 135 0 1 0 270 0a135 135 0 1 0-270 0Z"
    s.body(d)
    s.dot(200, 205, 96, s.dark, 0.22)
    s.dot(200, 203, 92, s.light)
    s.oval(170, 170, 40, 26, THREAD, 0.3)


def bowl(s: Sheet) -> None:
    s.shadow(rx=70)
    s.box(165, 306, 70, 16, s.dark, 5)
    s.body("M78 180H322C322 262 272 312 232 314H168C128 312 78 262 78 180Z")
    s.oval(200, 180, 122, 25, s.light)
    s.oval(200, 184, 108, 18, s.deep if s.pick(2) else s.dark)


def pan(s: Sheet) -> None:
    s.oval(178, 228, 112, 108, COAL, 0.16)
    with s.moved("rotate(-38 170 218)"):
        s.box(262, 204, 112, 26, s.dark if s.pick(2) else WOOD_DARK, 12)
        s.dot(356, 217, 6, PAPER)
    s.path("M64 218a106 106 0 1 0 212 0a106 106 0 1 0-212 0Z", "url(#body)")
    s.dot(170, 218, 88, s.deep)
    s.dot(170, 218, 84, s.dark)
    s.oval(140, 188, 34, 18, THREAD, 0.16)


def pot(s: Sheet) -> None:
    s.shadow(rx=125)
    for d in ("M92 205H66V238H92", "M308 205H334V238H308"):
        s.line(d, s.dark, 14)
    s.body("M92 176H308V292Q308 320 280 320H120Q92 320 92 292Z", decorated=False)
    s.path("M84 176Q92 138 200 132Q308 138 316 176Z", s.tone)
    s.box(80, 170, 240, 14, s.dark, 7)
    s.box(186, 110, 28, 24, BRASS if s.pick(2) else s.deep, 9)
    s.box(112, 200, 12, 96, THREAD, 6, 0.28)


def knife(s: Sheet) -> None:
    with s.moved(f"rotate({-30 - s.pick(16)} 200 205)"):
        s.path("M36 214Q70 236 130 238H250V190H96Q58 192 36 214Z", COAL, 0.14)
        s.path("M30 204Q64 228 124 230H246V180H92Q52 182 30 204Z", STEEL)
        s.path("M30 204Q64 228 124 230H246V216H120Q70 216 30 204Z", THREAD, 0.6)
        s.box(244, 176, 18, 56, STEEL_DARK, 4)
        s.path("M260 180H362Q380 182 380 204Q380 226 358 228L260 230Z", s.tone)
        s.grain(266, 184, 104, 42, 3)
        for x in (284, 318, 352):
            s.dot(x, 205, 5, BRASS)


def board(s: Sheet) -> None:
    with s.moved(f"rotate({-14 + s.pick(9)} 200 205)"):
        s.box(96, 92, 220, 240, COAL, 24, 0.13)
        d = "M112 84H288Q310 84 310 106V300Q310 322 288 322H112Q90 322 90 300V106Q90 84 112 84Z"
        s.path(d, s.tone)
        with s.within(d):
            s.grain(90, 84, 220, 238, 9)
        if s.pick(2):
            s.line("M116 112H284V294H116Z", s.dark, 5, 0.6)
        s.dot(276, 116, 12, PAPER)
    for x, y in ((160, 230), (196, 216), (228, 244)):
        s.dot(x, y, 22, "#c9483a")
        s.dot(x - 6, y - 7, 5, THREAD, 0.6)


def teapot(s: Sheet) -> None:
    s.shadow(rx=100)
    s.line("M116 212C52 190 58 292 124 282", s.dark, 16)
    s.path("M272 260C312 250 306 200 338 186L348 198C330 220 330 280 276 298Z", s.dark)
    s.body("M104 240C104 184 150 162 200 162S296 184 296 240S250 320 200 320S104 296 104 240Z")
    s.oval(200, 166, 54, 12, s.light)
    s.oval(200, 160, 46, 12, s.tone)
    s.dot(200, 142, 12, s.dark)


def dripper(s: Sheet) -> None:
    s.shadow(rx=90)
    s.path("M132 232H268L284 304Q284 320 266 320H134Q116 320 116 304Z", "#dfe9ea", 0.9)
    s.path("M124 270H276L284 304Q284 320 266 320H134Q116 320 116 304Z", SOIL, 0.9)
    s.box(112, 212, 176, 16, s.dark, 8)
    s.body("M112 112H288L232 214H168Z")
    s.oval(200, 112, 88, 16, s.light)
    s.oval(200, 112, 76, 12, PAPER)
    s.oval(200, 116, 58, 7, SOIL)


def grinder(s: Sheet) -> None:
    s.shadow(rx=66)
    s.line("M200 96V78H300", STEEL_DARK, 9)
    s.dot(304, 82, 18, s.dark)
    s.path("M152 134Q154 96 200 96T248 134Z", STEEL)
    s.body("M148 134H252V250H148Z", decorated=False)
    s.grain(148, 138, 104, 108, 5)
    s.box(144, 246, 112, 10, BRASS, 4)
    s.box(152, 256, 96, 64, STEEL, 8)
    s.box(164, 262, 12, 52, THREAD, 6, 0.5)


def tin(s: Sheet) -> None:
    s.shadow(rx=92)
    height = 30 * s.pick(3)
    top = 130 + height
    s.body(f"M116 {top}H284V304Q284 320 200 320T116 304Z", decorated=False)
    s.oval(200, top, 88, 20, s.dark)
    s.oval(200, top - 12, 88, 20, s.light)
    s.oval(200, top - 14, 62, 12, s.tone)
    middle = (top + 322) / 2
    s.oval(200, middle, 56, 44 - height / 5, PAPER)
    s.leaf(200, middle + 24, 42, -90, LABEL[s.pick(3)])
    s.leaf(200, middle + 20, 34, -140, s.tone)
    s.leaf(200, middle + 20, 34, -40, s.tone)


LABEL = ("#7f9c5f", "#c9833a", "#b5574a")


def tray(s: Sheet) -> None:
    s.shadow(rx=145, ry=12)
    s.path("M88 196H312L346 300Q348 318 330 318H70Q52 318 54 300Z", "url(#body)")
    s.path("M104 208H296L318 272H82Z", s.deep, 0.75)
    s.path("M82 272H318L322 284H78Z", s.dark)
    if s.pick(2):
        for x in range(120, 300, 26):
            s.line(f"M{x} 214L{x - 12 + (x - 120) // 8} 268", s.light, 5, 0.5)


def basket(s: Sheet) -> None:
    s.shadow(rx=112)
    top = 140 + 15 * s.pick(3)
    d = f"M78 {top}H322L296 306Q294 320 278 320H122Q106 320 104 306Z"
    s.path(d, s.tone)
    with s.within(d):
        for row, y in enumerate(range(top + 8, 326, 18)):
            for x in range(60 + row % 2 * 17, 340, 34):
                s.line(f"M{x} {y + 6}q17-14 34 0", s.dark if row % 2 else s.light, 7, 0.7)
    s.oval(200, top, 124, 22, s.dark)
    s.oval(200, top, 108, 15, s.deep)
    s.line(
        f"M84 {top - 4}C84 {top - 96} 316 {top - 96} 316 {top - 4}" if s.pick(2) else f"M74 {top + 10}q-22 30 6 50",
        s.dark,
        12,
    )


def pin(s: Sheet) -> None:
    with s.moved(f"rotate({-40 + s.pick(12)} 200 205)"):
        s.box(48, 194, 320, 44, COAL, 22, 0.13)
        s.path("M40 204Q60 182 110 180H290Q340 182 360 204Q340 226 290 228H110Q60 226 40 204Z", s.tone)
        s.grain(70, 184, 260, 42, 4)
        for x in range(120, 120 + 40 * s.pick(4), 26):
            s.line(f"M{x} 182V226", s.dark, 4, 0.6)


def cutter(s: Sheet) -> None:
    s.oval(200, 214, 142, 116, COAL, 0.1)
    s.oval(200, 206, 142, 116, "#ecd6a8")
    leaf = "M112 214C140 160 190 150 230 186Q214 230 170 240Q136 240 112 214ZM112 214L92 224"
    s.line(leaf, STEEL_DARK, 12)
    s.line(leaf, STEEL, 5)
    acorn = "M246 214q34-34 68 0q0 50-34 66q-34-16-34-66Z"
    s.line(acorn, s.dark, 12)
    s.line(acorn, s.light, 5)


def cloth(s: Sheet) -> None:
    s.shadow(rx=130)
    for layer, y in enumerate((282, 250, 218)):
        s.box(76, y, 248, 36, s.tone if layer % 2 else s.light, 14)
        s.box(76, y + 26, 248, 4, s.dark, opacity=0.35)
    d = "M84 120H316Q324 120 324 130V214H76V130Q76 120 84 120Z"
    s.body(d, s.pale, decorated=False)
    kind = s.pick(3)
    for at in range(96, 320, 36):
        s.box(at, 120, 10 if kind else 18, 94, s.tone, opacity=0.8)
        if kind == 2:
            s.box(76, at + 34, 248, 8, s.tone, opacity=0.5 if at < 180 else 0)
    s.line("M300 120q18-30 18 4", s.dark, 5)


def apron(s: Sheet) -> None:
    s.line("M158 108Q150 60 200 56T242 108", s.dark, 9)
    s.body("M152 104H248Q252 168 310 186V330Q310 342 298 342H102Q90 342 90 330V186Q148 168 152 104Z", decorated=False)
    s.box(136, 238, 128, 70, s.dark, 8, 0.55)
    s.line("M200 240V306M140 248H260", s.pale, 2.5, 0.7)


def mitt(s: Sheet) -> None:
    s.shadow(rx=84)
    d = "M132 316V190Q132 100 196 100T258 190Q292 150 306 176Q316 206 262 262V316Z"
    s.body(d)
    s.box(126, 286, 142, 36, s.dark, 8)
    s.line("M142 296H252", s.pale, 3, 0.7)
    s.line("M196 278V130M160 278V160M228 278V160", s.dark, 2.5, 0.45)


MOTIFS: dict[str, Motif] = {
    made.__name__: made
    for made in (
        mug, plate, bowl, pan, pot, knife, board, teapot, dripper,
        grinder, tin, tray, basket, pin, cutter, cloth, apron, mitt,
    )
}  # fmt: skip
