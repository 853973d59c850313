"""Queries over the demo shop, and what a shopper who types them wants to see among the first three."""

from typing import NamedTuple


class Judged(NamedTuple):
    """`wanted`: SKUs, three at most."""

    query: str
    wanted: frozenset[str]


def _judged(query: str, *wanted: str) -> Judged:
    return Judged(query, frozenset(wanted))


QUERIES = (
    # Words as they stand
    _judged("moss stoneware mug", "KIT-MUG-MOSS"),
    _judged("bread knife", "KIT-KNI-BREAD"),
    _judged("bird bath", "GAR-BIR-BATH"),
    _judged("fig candle", "HOM-CAN-FIG"),
    _judged("kitchen timer", "HOM-CLO-EGG"),
    _judged("wool throw", "HOM-CUS-WOOL"),
    _judged("cast iron", "KIT-COO-SKILLET"),
    _judged("espresso", "KIT-MUG-ESPRESSO2", "KIT-TEA-ESPRESSO"),
    _judged("terracotta pot", "GAR-POT-TERRA-S", "GAR-POT-TERRA-L"),
    _judged("envelopes", "STA-CAR-LETTER"),
    _judged("fountain pen", "STA-PEN-FOUNTAIN"),
    _judged("26 cm", "KIT-COO-SKILLET"),
    _judged("lamp", "HOM-LAM-DESK", "HOM-LAM-TABLE", "HOM-LAM-FLOOR"),
    # SKUs
    _judged("KIT-MUG-MOSS", "KIT-MUG-MOSS"),
    _judged("gar-too-secateurs", "GAR-TOO-SECATEURS"),
    # Plurals and other forms
    _judged("mugs", "KIT-MUG-MOSS", "KIT-MUG-HARE"),
    _judged("knives", "KIT-KNI-PARING", "KIT-KNI-CHEF", "KIT-KNI-BREAD"),
    _judged("nest boxes", "GAR-BIR-BOX", "GAR-BIR-ROBIN"),
    _judged("sweet peas", "GAR-SEE-SWEETPEA"),
    _judged("soap for gardeners", "BAT-SOA-TAR"),
    _judged("stacking ring", "PLA-WOO-STACK"),
    _judged("letter papers", "STA-CAR-LETTER"),
    # Typos
    _judged("stonware mug", "KIT-MUG-MOSS"),
    _judged("secaters", "GAR-TOO-SECATEURS"),
    _judged("candels", "HOM-CAN-BEESWAX", "HOM-CAN-FIG"),
    _judged("notebok", "STA-NOT-LINEN-A5", "STA-NOT-POCKET3"),
    _judged("watercolor", "STA-PAI-WATER"),
    _judged("linnen napkins", "KIT-LIN-NAPKINS"),
    _judged("tripdo lamp", "HOM-LAM-FLOOR"),
    _judged("pencls", "STA-PEN-PENCILS12", "STA-PEN-COLOURS"),
    _judged("wooden trane", "PLA-WOO-TRAIN"),
    _judged("espreso cups", "KIT-MUG-ESPRESSO2"),
    # As somebody types
    _judged("noteb", "STA-NOT-LINEN-A5", "STA-NOT-POCKET3"),
    _judged("moss st", "KIT-MUG-MOSS"),
    _judged("bread kn", "KIT-KNI-BREAD"),
    _judged("secat", "GAR-TOO-SECATEURS"),
    # Synonyms
    _judged("frying pan", "KIT-COO-SKILLET"),
    _judged("pruning shears", "GAR-TOO-SECATEURS"),
    _judged("dish towel", "KIT-LIN-TOWEL"),
    _judged("blanket", "HOM-CUS-WOOL", "HOM-CUS-RECYCLED"),
    _judged("pillow", "HOM-CUS-LINEN", "HOM-CUS-BLOCK", "HOM-CUS-BENCH"),
    _judged("checkers", "PLA-GAM-DRAUGHTS"),
    _judged("cookie cutters", "KIT-BAK-CUTTERS"),
    # Put together and parted
    _judged("tea pot", "KIT-TEA-POT"),
    _judged("teatowel", "KIT-LIN-TOWEL"),
    _judged("hair brush", "BAT-BRU-HAIR"),
    _judged("26cm", "KIT-COO-SKILLET"),
)
