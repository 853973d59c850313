"""Things for the bathroom shelf."""

from serve.demo.sheet import BRASS, COAL, LEAF, PAPER, PETALS, THREAD, WOOD, WOOD_DARK, Motif, Sheet


def soap(s: Sheet) -> None:
    s.shadow(rx=140)
    for x, y, r in ((88, 116, 22), (124, 84, 14), (298, 110, 18), (324, 146, 11), (276, 76, 9)):
        s.dot(x, y, r, THREAD, 0.75)
        s.dot(x - r * 0.3, y - r * 0.3, r * 0.2, "#9dc0cf")
    s.path("M64 232Q64 182 112 178H296Q344 182 340 232V272Q340 318 292 320H112Q64 318 64 272Z", s.dark)
    s.path("M64 222Q64 176 112 172H296Q344 176 340 222Q340 276 292 280H112Q64 276 64 222Z", "url(#body)")
    s.box(112, 200, 176, 52, s.pale, 22, 0.45)
    if s.pick(2):
        for x in (160, 200, 240):
            s.leaf(x, 242, 36, -90 + s.pick(40) - 20, s.dark)
    else:
        s.flower(170, 226, 20, PETALS[s.pick(5)])
        s.leaf(196, 234, 64, -14, LEAF)


def towel(s: Sheet) -> None:
    s.box(60, 84, 280, 14, WOOD, 7)
    s.dot(60, 91, 12, WOOD_DARK)
    s.dot(340, 91, 12, WOOD_DARK)
    d = "M108 80H292V312H108Z"
    s.path("M116 88H300V320H116Z", COAL, 0.12)
    s.path(d, "url(#body)")
    kind = s.pick(3)
    with s.within(d):
        if kind == 0:
            for y in range(84, 316, 16):
                for x in range(112, 292, 16):
                    s.box(x, y, 10, 10, s.dark, 2, 0.25)
        else:
            for y in range(220, 300, 24) if kind == 1 else range(100, 310, 36):
                s.box(108, y, 184, 11, s.pale, opacity=0.85)
    s.box(108, 80, 184, 20, THREAD, opacity=0.25)
    for x in range(112, 292, 12):
        s.line(f"M{x} 314v16", s.light, 4)


def bathbrush(s: Sheet) -> None:
    with s.moved("rotate(38 200 205)"):
        for x in range(160, 246, 12):
            s.line(f"M{x} 40v-16", "#cdbf9f", 6)
        s.box(188, 120, 24, 240, "url(#body)", 12)
        s.dot(200, 344, 5, PAPER)
        for y in range(44, 150, 13):
            s.line(f"M154 {y}h-20M246 {y}h20", "#cdbf9f", 6)
        s.box(150, 28, 100, 132, s.tone, 46)
        s.grain(166, 44, 70, 100, 4)
        s.box(146, 84, 108, 18, PETALS[2], 4)


def nailbrush(s: Sheet) -> None:
    s.shadow(rx=126)
    for x in range(92, 312, 14):
        s.line(f"M{x} 236L{x + (x - 200) / 16:.0f} 310", PAPER, 8)
        s.line(f"M{x + 5} 236L{x + 5 + (x - 200) / 16:.0f} 306", "#cdbf9f", 3)
    s.box(72, 190, 256, 56, "url(#body)", 24)
    s.grain(90, 196, 220, 44, 3)
    for x in range(112, 300, 18):
        s.line(f"M{x} 190v-22", THREAD, 7)


def hairbrush(s: Sheet) -> None:
    with s.moved("rotate(34 200 205)"):
        s.path("M186 210H214Q222 290 216 350Q200 366 184 350Q178 290 186 210Z", "url(#body)")
        s.oval(200, 132, 74, 96, s.tone)
        s.oval(200, 132, 54, 76, "#c9564a")
        for row, y in enumerate(range(76, 200, 20)):
            for x in range(164 + row % 2 * 9, 240, 18):
                if ((x - 200) / 50) ** 2 + ((y - 132) / 72) ** 2 < 1:
                    s.dot(x, y, 4.5, WOOD)


def shavebrush(s: Sheet) -> None:
    s.shadow(rx=66)
    s.path("M150 196Q128 110 162 72Q200 52 238 72Q272 110 250 196Z", PAPER)
    for x in range(158, 246, 11):
        s.line(f"M{x} 190Q{x + (x - 200) // 4} 130 {x + (x - 200) // 8} 80", "#cfc2a6", 3, 0.8)
    s.path("M146 106Q152 70 200 62T254 106Q200 84 146 106Z", "#8b7b63", 0.7)
    s.box(152, 188, 96, 20, BRASS, 6)
    s.path("M156 208H244Q228 244 252 290Q256 320 200 320T148 290Q172 244 156 208Z", "url(#body)")
    s.line("M170 226Q176 256 164 292", THREAD, 8, 0.35)


def bottle(s: Sheet) -> None:
    s.shadow(rx=70)
    s.box(176, 66, 48, 54, COAL, 8)
    s.box(182, 116, 36, 32, s.dark)
    s.path("M182 144H218Q264 160 264 206V300Q264 320 244 320H156Q136 320 136 300V206Q136 160 182 144Z", "url(#body)")
    s.box(136, 208, 128, 84, PAPER)
    s.leaf(200, 282, 56, -90, LEAF)
    s.leaf(200, 280, 40, -140, LEAF)
    s.leaf(200, 280, 40, -40, s.tone)
    s.line("M152 184V300", THREAD, 7, 0.4)


MOTIFS: dict[str, Motif] = {
    made.__name__: made for made in (soap, towel, bathbrush, nailbrush, hairbrush, shavebrush, bottle)
}  # fmt: skip
