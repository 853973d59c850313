"""Things to write, draw and keep order with."""

from serve.demo.sheet import BRASS, COAL, PAPER, PETALS, STEEL, STEEL_DARK, THREAD, WOOD, WOOD_DARK, Motif, Sheet

COLOURS = ("#b4543a", "#d9b040", "#5f7a4c", "#2f4a6d", "#c78fb5", "#cf8a35", "#8fb4cc")


def notebook(s: Sheet) -> None:
    with s.moved(f"rotate({-12 + s.pick(24)} 200 205)"):
        s.box(112, 78, 196, 264, COAL, 8, 0.15)
        s.box(112, 72, 190, 264, PAPER, 6)
        cover = "M106 66H284Q296 66 296 78V316Q296 328 284 328H106Z"
        s.path(cover, "url(#body)")
        kind = s.pick(4)
        if kind == 0:
            with s.within("M134 96H276V298H134Z"):
                s.pattern()
        elif kind == 1:
            s.box(150, 110, 112, 52, PAPER, 4)
            s.line("M164 128H248M164 144H226", s.dark, 4, 0.7)
        elif kind == 2:
            s.leaf(204, 260, 110, -90, s.pale)
            s.leaf(204, 250, 70, -140, s.pale)
            s.leaf(204, 250, 70, -40, s.pale)
        else:
            s.line("M140 84V310M148 84V310", s.pale, 2.5, 0.8)
        s.box(106, 66, 22, 262, s.dark)
        s.box(270, 66, 8, 262, PETALS[s.pick(2)])


def pen(s: Sheet) -> None:
    s.line("M70 300q30-26 52 0t52 0t52 0", COAL, 4, 0.7)
    with s.moved(f"rotate({-44 + s.pick(10)} 200 190)"):
        s.box(74, 190, 268, 30, COAL, 15, 0.13)
        s.path("M110 172H74L34 188L74 204H110Z", STEEL)
        s.line("M38 188H84", COAL, 2)
        s.box(106, 170, 230, 36, "url(#body)", 14)
        s.box(196, 168, 10, 40, BRASS, 3)
        s.box(206, 178, 100, 7, STEEL_DARK, 4)
        s.box(112, 176, 80, 6, THREAD, 3, 0.4)


def pencils(s: Sheet) -> None:
    s.shadow(rx=110, y=342, ry=10)
    shades = (s.tone, s.light, s.dark, s.pale) if s.pick(2) else COLOURS
    for index, x in enumerate(range(96, 304, 34)):
        top = 92 + (index * 29 + s.pick(3) * 11) % 54
        colour = shades[index % len(shades)]
        s.path(f"M{x} {top + 40}L{x + 13} {top}L{x + 26} {top + 40}Z", WOOD)
        s.path(f"M{x + 8} {top + 15}L{x + 13} {top}L{x + 18} {top + 15}Z", colour if shades is COLOURS else COAL)
        s.box(x, top + 38, 26, 300 - top, colour, 2)
        s.box(x, top + 38, 8, 300 - top, THREAD, 2, 0.25)


def inkbottle(s: Sheet) -> None:
    s.shadow(rx=94)
    s.box(162, 128, 76, 46, s.dark, 8)
    s.path("M162 172H238L300 236V300Q300 320 280 320H120Q100 320 100 300V236Z", "#dbe5e8", 0.95)
    s.path("M112 250H288V300Q288 310 278 310H122Q112 310 112 300Z", s.tone)
    s.box(146, 236, 108, 60, PAPER, 5)
    s.path("M200 246q16 22 0 36q-16-14 0-36Z", s.dark)
    s.line("M118 240L150 206", THREAD, 8, 0.8)


def envelope(s: Sheet) -> None:
    with s.moved(f"rotate({-10 + s.pick(20)} 200 205)"):
        s.box(92, 84, 206, 150, THREAD, 4)
        if s.pick(2):
            s.flower(196, 130, 30, s.tone)
        else:
            s.leaf(150, 170, 90, -35, s.tone)
            s.leaf(166, 172, 60, -80, s.dark)
        s.box(72, 164, 264, 166, COAL, 6, 0.13)
        s.box(66, 156, 264, 166, s.light, 6)
        s.path("M66 162L198 258L330 162V316Q330 322 324 322H72Q66 322 66 316Z", s.tone)
        s.path("M70 320L168 238L198 260L228 238L326 320Z", s.pale)
        s.dot(198, 256, 17, "#a63d33")


def roll(s: Sheet) -> None:
    for index, (x, fill) in enumerate(((96, s.dark), (166, s.tone), (236, s.light))):
        with s.moved(f"rotate({-18 + index * 14} {x + 34} 330)"):
            d = f"M{x} 96H{x + 64}V330H{x}Z"
            s.path(d, fill)
            with s.within(d):
                for row, y in enumerate(range(110, 330, 30)):
                    if index == 1:
                        s.flower(x + 16 + row % 2 * 32, y, 11, PAPER)
                    else:
                        s.box(x, y, 64, 8 + index * 3, s.pale, opacity=0.7)
            s.oval(x + 32, 96, 32, 9, s.pale)
            s.oval(x + 32, 96, 18, 5, s.deep)
            s.box(x, 236, 64, 9, PETALS[s.pick(2)])


def scissors(s: Sheet) -> None:
    with s.moved("rotate(24 200 205)"):
        s.path("M194 216L170 40Q206 70 216 206Z", STEEL)
        s.path("M206 216L230 40Q194 70 184 206Z", STEEL_DARK)
        for x in (154, 246):
            s.line(f"M{200 + (x - 200) // 5} 214Q{x + (200 - x) // 3} 250 {x} 262", COAL, 14)
            s.line(f"M{x} 262a34 42 0 1 0 .1 0Z", COAL, 14)
        s.dot(200, 210, 9, BRASS)


def dispenser(s: Sheet) -> None:
    s.shadow(rx=150)
    s.path(
        "M52 318V286Q60 270 96 268Q112 180 190 178Q262 180 280 262L338 238L350 252V306Q350 318 338 318Z", "url(#body)"
    )
    s.dot(190, 240, 70, "#e8dcb8", 0.95)
    s.dot(190, 240, 44, s.dark)
    s.dot(190, 240, 15, BRASS)
    s.path("M200 171L338 234L344 246L206 184Z", "#f4ead0", 0.9)
    s.line("M332 234L352 250", STEEL, 6)


def pencilpot(s: Sheet) -> None:
    s.shadow(rx=80)
    for index, x in enumerate((146, 176, 208, 238)):
        with s.moved(f"rotate({-14 + index * 9} {x} 240)"):
            top = 84 + index * 17 % 40
            s.path(f"M{x - 10} {top + 28}L{x} {top}L{x + 10} {top + 28}Z", WOOD)
            s.box(x - 10, top + 26, 20, 150, COLOURS[(index * 2 + s.pick(3)) % 7])
    s.body("M122 196H278V304Q278 320 262 320H138Q122 320 122 304Z")
    s.oval(200, 196, 78, 12, s.dark, 0.8)


def calendar(s: Sheet) -> None:
    s.shadow(rx=138)
    s.path("M62 318V296H338V318Z", WOOD_DARK)
    for x, digit in ((84, "M132 176q-26 0-26 32v18q0 32 26 32t26-32v-18q0-32-26-32Z"), (208, "M236 196l22-20v84")):
        s.box(x, 150, 106, 134, PAPER, 10)
        s.box(x, 150, 106, 134, WOOD, 10, 0.25)
        s.line(digit, s.tone, 13)
    for row, y in enumerate((100, 122)):
        s.box(84 + row * 20, y, 230 - row * 40, 18, WOOD if row else s.tone, 5)


def globe(s: Sheet) -> None:
    s.shadow(rx=80)
    s.path("M132 318Q136 298 200 296T268 318Z", WOOD_DARK)
    s.box(192, 268, 16, 34, BRASS)
    s.line("M262 66A124 124 0 0 1 200 284", BRASS, 9)
    d = "M92 166a106 106 0 1 0 212 0a106 106 0 1 0-212 0Z"
    s.path(d, "url(#body)")
    with s.within(d):
        s.path("M110 104Q160 84 176 124T150 190T128 240Q100 200 96 160Z", "#cdbb83")
        s.path("M206 84Q250 70 296 110Q300 150 262 140T226 176T250 240Q214 236 206 188T206 84Z", "#b9b074")
        s.path("M176 250Q220 240 240 262L200 280Z", PAPER)
        s.line("M90 166H310M200 50Q140 166 200 284M200 50Q262 166 200 284", THREAD, 2, 0.5)


def paints(s: Sheet) -> None:
    s.box(64, 120, 280, 190, COAL, 16, 0.13)
    s.box(58, 110, 280, 190, STEEL, 14)
    s.box(68, 120, 260, 96, THREAD, 8)
    for x, fill in ((110, s.tone), (180, s.light), (258, s.dark)):
        s.path(f"M{x - 26} 170q10-36 38-20q30 8 14 30q-34 22-52-10Z", fill, 0.75)
    for index, x in enumerate(range(70, 320, 36)):
        s.box(x, 228, 30, 28, COLOURS[index % 7], 4)
        s.box(x, 262, 30, 28, COLOURS[(index + 3) % 7], 4, 0.75)
    with s.moved("rotate(-24 220 90)"):
        s.box(150, 74, 180, 12, s.deep, 6)
        s.path("M150 70q-40 4-52 10q12 8 52 10Z", WOOD_DARK)


def brushes(s: Sheet) -> None:
    for index, turn in enumerate((-34, -14, 8)):
        wide = 16 + index * 6
        with s.moved(f"rotate({turn} 200 330)"):
            s.box(200 - wide / 3, 170, wide / 1.5, 180, "url(#body)", wide / 3)
            s.box(200 - wide / 2, 132, wide, 44, STEEL, 4)
            s.path(f"M{200 - wide / 2} 132q-4-40 {wide / 2}-76q{wide / 2 + 4} 36 {wide / 2} 76Z", WOOD_DARK)
    s.line("M226 360q50-14 100 0", s.light, 12, 0.8)


MOTIFS: dict[str, Motif] = {
    made.__name__: made
    for made in (
        notebook, pen, pencils, inkbottle, envelope, roll, scissors, dispenser, pencilpot, calendar, globe, paints,
        brushes,
    )
}  # fmt: skip
