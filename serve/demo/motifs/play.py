"""Things to play with."""

from serve.demo.sheet import BRASS, COAL, LEAF, LEAF_DARK, PAPER, PETALS, STEEL, THREAD, WOOD, WOOD_DARK, Motif, Sheet


def _wheel(s: Sheet, x: float, y: float, r: float) -> None:
    s.dot(x, y, r, WOOD_DARK)
    s.dot(x, y, r * 0.7, WOOD)
    s.dot(x, y, r * 0.2, COAL)


def train(s: Sheet) -> None:
    s.shadow(rx=170, ry=10)
    s.box(36, 236, 110, 54, PETALS[1], 6)
    s.box(54, 206, 74, 34, WOOD, 4)
    s.line("M146 274H170", COAL, 7)
    s.box(166, 252, 190, 38, s.dark, 8)
    s.path("M166 150H250V254H166Z", s.tone)
    s.box(180, 168, 54, 44, PAPER, 5)
    s.box(154, 136, 108, 18, s.deep, 6)
    s.path("M250 194H332Q348 196 348 224T332 254H250Z", "url(#body)")
    s.path("M290 196V158H284V144H324V158H318V196Z", WOOD_DARK)
    for x, y, r in ((304, 116, 13), (286, 94, 17), (258, 70, 21)):
        s.dot(x, y, r, THREAD, 0.9)
    for x, r in ((64, 22), (118, 22), (200, 28), (262, 22), (320, 22)):
        _wheel(s, x, 322 - r, r)


def blocks(s: Sheet) -> None:
    s.shadow(rx=150)
    s.box(60, 252, 68, 68, WOOD, 6)
    s.box(132, 252, 132, 68, s.tone, 6)
    s.box(268, 252, 68, 68, PETALS[2], 6)
    s.box(100, 180, 68, 68, PETALS[0], 6)
    s.path("M176 248V214Q176 180 210 180H276Q310 180 310 214V248H276Q276 216 243 216T210 248Z", WOOD_DARK)
    s.box(140, 120, 130, 54, s.light, 6)
    s.path("M150 116L205 52L260 116Z", PETALS[s.pick(2) * 3])
    s.dot(134, 214, 18, PAPER, 0.7)
    s.grain(136, 256, 124, 60, 3)


def rings(s: Sheet) -> None:
    s.shadow(rx=120)
    s.box(190, 70, 20, 220, WOOD, 10)
    s.dot(200, 72, 18, s.tone)
    shades = (s.tone, PETALS[1], PETALS[0], PETALS[2], s.light, PETALS[3])
    for index in range(5):
        wide = 112 - index * 17
        s.box(200 - wide, 264 - index * 40, wide * 2, 36, shades[(index + s.pick(2)) % 6], 18)
        s.box(200 - wide + 14, 270 - index * 40, wide * 0.7, 7, THREAD, 4, 0.4)
    s.path("M72 320Q78 300 200 300T328 320Z", WOOD_DARK)


def animal(s: Sheet) -> None:
    s.shadow(190, rx=130)
    s.body(
        "M84 316V214Q84 170 130 170H240L262 128Q276 112 300 118L342 140Q352 168 318 178L300 186V316H258V262H128V316Z",
        decorated=False,
    )
    s.grain(90, 176, 190, 80, 4)
    s.path("M266 126l-22-26l34 10Z", s.dark)
    s.dot(308, 142, 5, COAL)
    s.path("M130 176q36 10 46 40q-30 26-62 4Z", s.deep, 0.6)
    s.line("M86 206Q56 220 62 262", s.dark, 7)
    s.dot(62, 268, 8, s.deep)


def carrot(s: Sheet) -> None:
    with s.moved("rotate(38 190 200)"):
        for angle in (-120, -90, -60):
            s.leaf(180, 108, 84, angle, LEAF if angle == -90 else LEAF_DARK)
        s.path("M136 120Q180 96 224 120Q222 240 182 350Q140 240 136 120Z", "url(#body)")
        s.line("M146 160q20 6 34 2M214 196q-16 6-28 2M152 226q12 5 20 2", s.dark, 4, 0.6)
    s.shadow(286, 322, 56, 9)
    s.path("M276 250H300L304 316Q288 324 272 316Z", PAPER)
    s.path("M236 258Q240 206 288 204T340 258Q288 270 236 258Z", PETALS[0])
    s.dot(270, 230, 7, THREAD, 0.8)
    s.dot(308, 236, 6, THREAD, 0.8)


def boat(s: Sheet) -> None:
    s.path("M0 292q25-16 50 0t50 0t50 0t50 0t50 0t50 0t50 0t50 0V400H0Z", "#a9c7d6")
    s.path("M60 236H346Q340 312 280 318H122Q74 312 60 236Z", "url(#body)")
    s.grain(84, 250, 240, 50, 3)
    s.box(128, 170, 130, 68, PAPER, 6)
    s.box(116, 156, 154, 18, s.dark, 6)
    for x in (152, 192, 232):
        s.dot(x, 204, 13, "#8fb4cc")
    s.path("M180 156V100H222V156Z", PETALS[0])
    s.box(180, 112, 42, 12, THREAD)
    s.line("M324 236V180", WOOD_DARK, 6)
    s.path("M324 182l-34 12l34 12Z", PETALS[1])
    s.path("M0 318q25-14 50 0t50 0t50 0t50 0t50 0t50 0t50 0t50 0V400H0Z", "#8fb4cc", 0.9)


def puzzle(s: Sheet) -> None:
    piece = "h30q-6-24 15-24t15 24h30v30q24-6 24 15t-24 15v30h-30q6 24-15 24t-15-24h-30v-30q-24 6-24-15t24-15Z"
    shades = (s.tone, s.light, s.dark, PETALS[s.pick(3)])
    for index, (x, y, turn) in enumerate(((96, 104, 0), (210, 104, 4), (96, 218, -3), (228, 228, 14 + s.pick(12)))):
        with s.moved(f"rotate({turn} {x + 45} {y + 45})"):
            s.path(f"M{x + 5} {y + 6}{piece}", COAL, 0.12)
            s.path(f"M{x} {y}{piece}", shades[index])
            s.leaf(x + 30, y + 66, 44, -60 + 20 * index, s.pale, 0.8)
            s.dot(x + 62, y + 34, 8, PETALS[(index + 1) % 5], 0.9)


def tangram(s: Sheet) -> None:
    s.box(72, 78, 268, 268, COAL, 10, 0.13)
    s.box(66, 70, 268, 268, s.deep, 10)
    parts = (
        "M82 86L200 204L82 322Z",
        "M82 86H318L200 204Z",
        "M318 86V204L259 145Z",
        "M259 145L318 204L259 263L200 204Z",
        "M318 204V322H200Z",
        "M200 204L259 263L141 263Z",
        "M141 263L259 263L200 322H82Z",
    )
    shades = (s.tone, s.light, WOOD, s.dark, PAPER, s.pale, WOOD_DARK)
    shift = s.pick(7)
    for index, d in enumerate(parts):
        s.path(d, shades[(index + shift) % 7])
        s.line(d, s.deep, 4)


def bear(s: Sheet) -> None:
    s.shadow(rx=104)
    for x in (142, 258):
        s.dot(x, 96, 28, s.tone)
        s.dot(x, 98, 15, s.pale)
        s.oval(x + (x - 200) * 0.5, 232, 26, 46, s.dark)
        s.oval(x + (x - 200) * 0.3, 302, 40, 24, s.tone)
        s.oval(x + (x - 200) * 0.3, 304, 20, 13, s.pale)
    s.oval(200, 250, 78, 72, "url(#body)")
    s.oval(200, 256, 46, 44, s.pale, 0.7)
    s.oval(200, 142, 78, 68, s.tone)
    s.oval(200, 166, 34, 26, s.pale)
    s.oval(200, 154, 12, 8, COAL)
    s.line("M200 162v14q-10 10-20 2M200 176q10 10 20 2", COAL, 3)
    s.dot(172, 132, 6, COAL)
    s.dot(228, 132, 6, COAL)


def hare(s: Sheet) -> None:
    s.shadow(rx=92)
    for x, turn in ((172, -10), (228, 12)):
        with s.moved(f"rotate({turn} {x} 140)"):
            s.oval(x, 84, 22, 66, s.tone)
            s.oval(x, 88, 11, 48, PETALS[0], 0.5)
    s.path("M140 312Q126 214 200 208T260 312Q262 322 200 322T140 312Z", "url(#body)")
    s.oval(200, 164, 58, 50, s.tone)
    s.path("M146 200Q200 226 254 200V222Q200 244 146 222Z", PETALS[s.pick(3)])
    s.path("M226 224L250 290L224 286L212 230Z", PETALS[2])
    s.dot(180, 158, 5, COAL)
    s.dot(220, 158, 5, COAL)
    s.path("M194 172h12l-6 7Z", PETALS[0])
    s.line("M200 179v6", COAL, 2.5)


def owl(s: Sheet) -> None:
    s.shadow(rx=94)
    s.body(
        "M108 98L140 116Q200 92 260 116L292 98Q306 150 298 236Q290 320 200 320T102 236Q94 150 108 98Z", decorated=False
    )
    for row, y in enumerate((226, 252, 278)):
        for x in range(156 + row % 2 * 14, 256 - row * 8, 28):
            s.path(f"M{x - 14} {y}q14 24 28 0Z", s.pale, 0.8)
    s.leaf(112, 190, 100, 74, s.dark)
    s.leaf(288, 190, 100, 106, s.dark)
    for x in (162, 238):
        s.dot(x, 164, 40, PAPER)
        s.dot(x, 164, 20, BRASS)
        s.dot(x, 164, 11, COAL)
    s.path("M188 184H212L200 212Z", BRASS)


def gameboard(s: Sheet) -> None:
    s.path("M200 120L366 214L200 316L34 214Z", s.deep)
    s.path("M200 108L360 200L200 296L40 200Z", s.tone)
    for row in range(6):
        for column in range(6):
            if (row + column) % 2:
                x, y = 200 + (column - row) * 23, 134 + (column + row) * 13.4
                s.path(f"M{x} {y - 13}l23 13.4l-23 13.4l-23-13.4Z", PAPER, 0.85)
    for x, y, fill in ((200, 160, COAL), (154, 188, COAL), (246, 214, THREAD), (200, 242, THREAD), (108, 202, COAL)):
        s.oval(x, y + 6, 17, 10, s.deep)
        s.oval(x, y, 17, 10, fill)
        s.oval(x, y, 10, 5.5, s.light, 0.5)


def cards(s: Sheet) -> None:
    for index, turn in enumerate((-26, -8, 10, 28)):
        with s.moved(f"rotate({turn} 200 360)"):
            s.box(142, 96, 120, 176, COAL, 12, 0.12)
            s.box(138, 90, 120, 176, THREAD if index else s.tone, 12)
            if not index:
                s.box(150, 102, 96, 152, s.pale, 8, 0.6)
                continue
            colour = (s.tone, COAL, PETALS[0])[(index + s.pick(2)) % 3]
            if s.pick(2):
                s.leaf(198, 220, 84, -90, colour)
            else:
                s.path("M198 150q22-30 42 0q4 30-42 60q-46-30-42-60q20-30 42 0Z", colour)
            s.dot(156, 108, 6, colour)
            s.dot(240, 248, 6, colour)


def domino(s: Sheet) -> None:
    s.shadow(rx=140)
    for x, y, turn, pips in ((70, 200, -6, 3), (196, 196, 5, 5), (130, 96, -14, 2)):
        with s.moved(f"rotate({turn} {x + 60} {y + 60})"):
            s.box(x, y, 136, 74, WOOD_DARK, 10)
            s.box(x, y - 8, 136, 74, s.tone, 10)
            s.line(f"M{x + 68} {y}v58", WOOD_DARK, 4)
            for pip in range(pips):
                s.dot(x + 20 + pip % 2 * 28, y + 12 + pip * 36 / max(1, pips - 1), 7, COAL)
            s.oval(x + 100, y + 34, 18, 13, PETALS[pips % 4])
            s.dot(x + 114, y + 22, 8, PETALS[pips % 4])
            s.path(f"M{x + 121} {y + 20}l9 4l-9 3Z", COAL)


def kite(s: Sheet) -> None:
    for x, y, r in ((70, 90, 26), (98, 84, 32), (130, 94, 22), (300, 310, 24), (326, 304, 28)):
        s.dot(x, y, r, THREAD, 0.8)
    s.line("M176 236Q140 300 180 330T150 396", WOOD_DARK, 3)
    with s.moved("rotate(18 220 150)"):
        s.path("M220 40L304 132L220 280L136 132Z", s.tone)
        s.path("M220 40L304 132H220Z", s.light)
        s.path("M220 132L304 132L220 280Z", s.dark)
        s.line("M220 40V280M136 132H304", PAPER, 3)
        s.dot(220, 132, 20, PETALS[1])
    for x, y in ((160, 270), (166, 308), (172, 344)):
        s.path(f"M{x} {y}l-18-10v20ZM{x} {y}l18-10v20Z", PETALS[(x // 6) % 4])


def rope(s: Sheet) -> None:
    s.line("M96 290C40 120 180 60 204 160S120 290 210 292S360 150 296 100", COAL, 15, 0.1)
    s.line("M90 282C34 112 174 52 198 152S114 282 204 284S354 142 290 92", s.pale, 14)
    s.line("M90 282C34 112 174 52 198 152S114 282 204 284S354 142 290 92", s.dark, 2, 0.5)
    for x, y, turn in ((90, 282, -18), (290, 92, 150)):
        with s.moved(f"rotate({turn} {x} {y})"):
            s.path(f"M{x - 13} {y}H{x + 13}L{x + 16} {y + 72}Q{x} {y + 86} {x - 16} {y + 72}Z", WOOD)
            s.box(x - 15, y + 14, 30, 12, s.tone)
            s.box(x - 16, y + 52, 32, 8, s.dark)


def jar(s: Sheet) -> None:
    s.shadow(rx=92)
    s.path("M118 150Q104 166 104 190V298Q104 320 126 320H274Q296 320 296 298V190Q296 166 282 150Z", "#e2ecec", 0.9)
    s.path("M114 220H286V298Q286 310 274 310H126Q114 310 114 298Z", s.pale)
    for x, y in ((140, 240), (184, 262), (230, 236), (262, 280), (156, 292), (212, 294)):
        s.flower(x, y, 10, PETALS[(x // 10) % 4])
    _lid(s)


def bugjar(s: Sheet) -> None:
    s.shadow(rx=92)
    s.path("M118 150Q104 166 104 190V298Q104 320 126 320H274Q296 320 296 298V190Q296 166 282 150Z", "#e2ecec", 0.9)
    s.leaf(140, 310, 120, -70, LEAF)
    s.leaf(160, 312, 90, -120, LEAF_DARK)
    s.line("M206 232l-16-14M206 248h-20M208 262l-16 14M252 232l16-14M254 248h20M250 262l16 14", COAL, 4)
    s.oval(230, 248, 28, 24, PETALS[0])
    s.oval(230, 222, 14, 10, COAL)
    s.line("M230 226v46", COAL, 4)
    for x, y in ((218, 240), (242, 240), (218, 258), (242, 258)):
        s.dot(x, y, 4.5, COAL)
    _lid(s)


def _lid(s: Sheet) -> None:
    s.box(112, 116, 176, 38, "url(#body)", 10)
    s.box(112, 140, 176, 6, s.deep, 3, 0.4)
    s.line("M124 196V290", THREAD, 9, 0.8)


def bucket(s: Sheet) -> None:
    s.path("M0 310Q120 280 400 314V400H0Z", "#ead7a8")
    with s.moved("rotate(24 300 230)"):
        s.box(292, 110, 16, 120, WOOD, 6)
        s.box(276, 98, 48, 16, WOOD_DARK, 8)
        s.path("M268 226H332V280Q332 312 300 322Q268 312 268 280Z", PETALS[0])
    s.line("M94 180C94 90 246 90 246 180", STEEL, 7)
    s.body("M82 180H258L240 308Q238 320 224 320H116Q102 320 100 308Z")
    s.oval(170, 180, 88, 15, s.deep)
    s.oval(170, 184, 76, 11, "#e3cf9c")


MOTIFS: dict[str, Motif] = {
    made.__name__: made
    for made in (
        train, blocks, rings, animal, carrot, boat, puzzle, tangram, bear, hare,
        owl, gameboard, cards, domino, kite, rope, jar, bugjar, bucket,
    )
}  # fmt: skip
