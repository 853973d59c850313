"""Draws a product's picture as SVG: a motif in a tone, its details decided by the name, so always the same picture."""

from hashlib import blake2b
from xml.sax.saxutils import escape

from serve.demo.motifs import bath, desk, garden, home, kitchen, play
from serve.demo.sheet import Motif, Sheet

TONES = {
    "moss": "#5f7a4c",
    "sage": "#9bb08c",
    "ink": "#2f4a6d",
    "sky": "#8fb4cc",
    "brick": "#b4543a",
    "clay": "#c67f5b",
    "rose": "#d69a98",
    "amber": "#cf8a35",
    "mustard": "#d9b040",
    "sand": "#d3bd98",
    "cream": "#ece2cb",
    "charcoal": "#4a4a4f",
    "steel": "#a9b3ba",
    "oak": "#c79b62",
    "beech": "#d9b184",
    "wood": "#bd8a55",
    "walnut": "#7a5236",
}
"""The colours of the shop, by the names that its products use."""

MOTIFS: dict[str, Motif] = {
    **kitchen.MOTIFS,
    **home.MOTIFS,
    **garden.MOTIFS,
    **desk.MOTIFS,
    **play.MOTIFS,
    **bath.MOTIFS,
}
"""What can be drawn, by name."""


def draw(name: str, title: str, motif: str, tone: str) -> str:
    """The picture as an SVG document of 400 × 400. Raises KeyError for an unknown motif or tone."""
    sheet = Sheet(TONES[tone], blake2b(name.encode(), digest_size=16).digest())
    MOTIFS[motif](sheet)
    return sheet.document(escape(title))
