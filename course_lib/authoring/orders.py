"""The sample file of lesson 107: a customer's note to a grocer, and the same order as a list that a till can read.

`python -m course_lib.authoring.orders course_lib/run/samples/orders.csv` writes it anew. As in a file from real work,
some rows are copies: three word for word, and two that differ by a word. Words between bars are drawn from.
"""

import csv
import io
import random
import sys
from pathlib import Path

PACKED = {
    "pack": "butter|pasta|tea|coffee|yeast|crackers",
    "bottle": "lemonade|ketchup|soy sauce|mineral water",
    "jar": "honey|strawberry jam|mustard|olives|pesto",
    "tin": "tuna|chickpeas|sweetcorn|peeled tomatoes|coconut milk",
}
COUNTED = "eggs|lemons|bread rolls|croissants|bananas|avocados|cucumbers|red peppers|bagels|jalapeños|limes|leeks"
COUNTS = {"half a dozen": "6", "a dozen": "12", "two dozen": "24", "a couple of": "2"}
# Of each kind of measured goods: their names, the word and the sign of the large unit, and of the small one.
MEASURED = (
    ("flour|rice|sugar|potatoes|onions|carrots|apples|pears|gruyère|ham|minced beef", "kilo", "kg", "gram", "g"),
    ("milk|orange juice|olive oil|cream|apple juice|vinegar|crème fraîche", "litre", "l", "millilitre", "ml"),
)
OPENINGS = (
    "{}|Just {}|Got {}|Hi, could I get {}|Hello! I'd like {}|Please put aside {}|Morning, I need {}|For tomorrow: {}|"
    "Can you add {} to my order|We are out of everything, so {}|hey, send me {}|I'll take {}|My usual, that is {}|"
    "Good evening, would you have {} for me|It's Ines from number 14. I want {}|We are 8 on Sunday and still need {}|"
    "Dear Mr Kaya, kindly deliver {}|Hiya, can 1 of you bring {}"
)
ENDINGS = (
    "| please.| pls|. Thanks!|. Thank you very much.|, if that's ok?|. I'll pick it up at 5.| asap|, ta.|. Cheers, Tom|"
    ". See you on the 3rd!|. Leave it at the back door.|. My daughter comes by at 12.|. I pay in cash.|. Ring twice.|"
    " for the party on Friday, about 20 people.|. No bag needed."
)
JOINS = ((", ", " and "), (", ", ", and also "), (" and ", " and "), (", ", " plus "), (" + ", " + "), ("; ", "; "))
SLIPS = {"please": "plese", "dozen": "dosen", "litre": "liter", "could": "coud", "kilos": "kilo's", "and": "adn"}


def _drawn(rng: random.Random, words: str) -> str:
    return rng.choice(words.split("|"))


def _number(rng: random.Random, n: int) -> str:
    words = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return words[n - 2] if rng.random() < 0.6 else str(n)


def _measured(rng: random.Random) -> tuple[str, str, str]:
    goods, large, kg, small, g = rng.choice(MEASURED)
    n, part = rng.randint(2, 5), rng.choice((100, 150, 200, 300, 400, 750))
    said, written = rng.choice(
        (
            (f"a {large} of", f"1 {kg}"),
            (f"half a {large} of", f"500 {g}"),
            (f"one and a half {large}s of", f"1.5 {kg}"),
            (f"a quarter {large} of", f"250 {g}"),
            (f"{part} {small}s of", f"{part} {g}"),
            (f"{part}{g}", f"{part} {g}"),
            (f"{_number(rng, n)} {large}s of", f"{n} {kg}"),
            (f"{n}{kg}", f"{n} {kg}"),
        )
    )
    return said, written, _drawn(rng, goods)


def _item(rng: random.Random) -> tuple[str, str]:
    """An item as the customer says it, and as the list has it."""
    kind, n, count = rng.randrange(4), rng.randint(2, 4), rng.randint(3, 10)
    if kind == 0:
        said, written = rng.choice([*COUNTS.items(), *4 * [(_number(rng, count), str(count))]])
        good = _drawn(rng, COUNTED)
    elif kind == 1:
        unit = rng.choice(sorted(PACKED))
        said, written = rng.choice(((f"a {unit} of", f"1 {unit}"), (f"{_number(rng, n)} {unit}s of", f"{n} {unit}s")))
        good = _drawn(rng, PACKED[unit])
    else:
        said, written, good = _measured(rng)
    return f"{said} {good}", f"{written} {good}"


def _order(rng: random.Random) -> tuple[str, str]:
    items = [_item(rng) for _ in range(rng.choice((1, 2, 2, 2, 3, 3)))]
    comma, last = rng.choice(JOINS)
    said = last.join(filter(None, (comma.join(said for said, _ in items[:-1]), items[-1][0])))
    note = _drawn(rng, OPENINGS).format(said) + _drawn(rng, ENDINGS)
    if rng.random() < 0.12:
        note = " ".join(SLIPS.get(word, word) for word in note.split(" "))
    return note, "; ".join(written for _, written in items)


def orders(n: int = 160, seed: int = 107) -> str:
    """The text of the CSV file: `n` rows, the five copies among them."""
    rng, made = random.Random(seed), {}
    while len(made) < n - 5:
        made.update([_order(rng)])
    rows = list(made.items())
    copied = rng.sample([row for row in rows if len(row[0].split()) > 12], 5)
    for note, listed in [*copied[:3], *((f"{note} Bye!", listed) for note, listed in copied[3:])]:
        rows.insert(rng.randrange(len(rows)), (note, listed))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("prompt", "completion"), *rows])
    return out.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(orders(), encoding="utf-8")
