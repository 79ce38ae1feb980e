"""Support mails with the JSON record that each one should become: generated, so the right answer is known.

Held-out mails use templates, phrasings, names and products that never occur in the training mails. A model
that only learned our sentences by heart scores badly on them.
"""

import json
import random

FIELDS = ("name", "order", "product", "issue", "wants")

INSTRUCTION = (
    "Turn the mail into JSON with the keys name, order, product, issue, wants. "
    "issue: damaged, late, wrong_item, missing_part or double_charge. "
    "wants: refund, replacement or information."
)

ISSUES = {
    "train": {
        "damaged": (
            "The {product} arrived broken.",
            "When I opened the box, the {product} had a crack in it.",
            "My {product} is scratched all over.",
            "The {product} came with a big dent.",
            "The {product} was smashed in the post.",
            "There is a tear in the {product} you sent.",
            "The {product} is bent.",
            "The {product} was in pieces when it came.",
            "The {product} leaks and its side is split.",
            "Sadly the {product} does not survive a look: it is badly damaged.",
        ),
        "late": (
            "My {product} has still not arrived.",
            "I have been waiting three weeks for my {product}.",
            "The {product} should have been here last Monday.",
            "The delivery of the {product} is overdue.",
            "The {product} is late.",
            "There is no sign of the {product} yet.",
            "When will the {product} come? It was promised for Friday.",
            "Two weeks have passed and no {product}.",
            "I am still waiting for the {product}.",
            "The parcel with the {product} is delayed.",
        ),
        "wrong_item": (
            "I ordered a {product} but got something else.",
            "You sent me the wrong thing instead of the {product}.",
            "This is not the {product} that I chose.",
            "The parcel held another article, not my {product}.",
            "Instead of the {product} I received a different model.",
            "I wanted the {product}, and a wrong article came.",
            "What came is not a {product}.",
            "You mixed something up: I did not get the {product} that I ordered.",
            "The {product} is in the wrong colour.",
            "I got somebody else's parcel instead of my {product}.",
        ),
        "missing_part": (
            "The {product} came without its screws.",
            "A piece of the {product} is missing.",
            "There was no power cable with the {product}.",
            "The {product} is incomplete: one part was not in the box.",
            "I cannot build the {product}, because some parts are lacking.",
            "The lid of the {product} was not included.",
            "The box of the {product} holds everything but the manual.",
            "The {product} has only three of its four feet.",
            "You forgot to pack the cover of the {product}.",
            "One wheel was left out of the {product} box.",
        ),
        "double_charge": (
            "I was charged twice for the {product}.",
            "My card shows two payments for one {product}.",
            "You took the money for the {product} two times.",
            "The {product} was billed twice.",
            "There are two invoices for the same {product}.",
            "I paid double for the {product}.",
            "The price of the {product} was taken from my account again.",
            "My bank shows a second debit for the {product}.",
            "You charged the {product} to my card two times.",
            "I bought one {product} and the bill says two.",
        ),
    },
    "test": {
        "damaged": (
            "The {product} fell apart as I unpacked it.",
            "One corner of the {product} is crushed.",
            "I found the {product} cracked and full of scratches.",
        ),
        "late": (
            "Ten days after the promised date I still have no {product}.",
            "How much longer must I wait for the {product}?",
            "The {product} has not been delivered so far.",
        ),
        "wrong_item": (
            "Somebody mixed up the parcels: what I unpacked was not the {product}.",
            "I asked for a {product}, yet the box contained an unrelated article.",
            "You shipped me something different from the {product}.",
        ),
        "missing_part": (
            "Two bolts that belong to the {product} were not in the package.",
            "The {product} lacks the charger that the page promised.",
            "The handle of the {product} is missing from the box.",
        ),
        "double_charge": (
            "My bank statement lists the {product} two times.",
            "The payment for the {product} left my account twice.",
            "For one {product} you debited me on Monday and again on Tuesday.",
        ),
    },
}

WANTS = {
    "train": {
        "refund": (
            "Please give me my money back.",
            "I would like a refund.",
            "Please return the payment to my card.",
            "I want to be refunded.",
            "Send the money back.",
            "I ask you to pay me back.",
            "Please cancel it and return what I paid.",
            "Transfer the price back to my account.",
        ),
        "replacement": (
            "Please send me a new one.",
            "I would like a replacement.",
            "Can you exchange it?",
            "Please ship another one to me.",
            "I need a new one soon.",
            "Please swap it.",
            "Send it to me again, please.",
            "I hope you can replace it.",
        ),
        "information": (
            "Please tell me what happens next.",
            "Can you explain what went wrong?",
            "I would like to know more.",
            "Please let me know how this is handled.",
            "How could this happen?",
            "Could you look into it and tell me?",
            "What should I do now?",
            "I want an answer.",
        ),
    },
    "test": {
        "refund": ("Kindly transfer the amount back to me.", "I expect my money to be returned."),
        "replacement": ("Could I get a new one instead?", "Ship me another, please."),
        "information": ("Can you tell me what is going on?", "Please explain where things stand."),
    },
}

TEMPLATES = {
    "train": (
        "Hello,\n{issue} The order number is {order}. {wants}\nBest regards,\n{name}",
        "Hi, {issue} {wants} My order is {order}.\n{name}",
        "Dear team,\nthis is about order {order}. {issue} {wants}\nYours,\n{name}",
        "Order {order}: {issue} {wants} Thanks, {name}",
        "My name is {name}. {issue} {wants} Order number: {order}.",
        "{issue} {wants}\n{name}, order {order}",
        "Hello, I am {name}, my order number is {order}. {issue} {wants}",
        "{issue} You will find it under {order}. {wants}\nSincerely,\n{name}",
        "{wants} {issue} It is order {order}.\n{name}",
        "Hey! {issue} Order no. {order}. {wants} Cheers, {name}",
    ),
    "test": (
        "Subject: {order}\n\n{issue} {wants}\n-- \n{name}",
        "{name} here. {issue} Look up {order} in your system. {wants}",
        "Good evening. {wants} Why? {issue} My reference is {order}. Signed: {name}",
        "I write for {name} (purchase {order}). {issue} {wants}",
        "Hi support! Reference {order}. {issue} {wants} Have a nice day, {name}",
    ),
}

FIRST_NAMES = {
    "train": "Anna Ben Carla David Elena Frank Grace Hugo Ines Jack Karen Leo Maria Nils Olga Peter Rosa Simon Tara Victor".split(),
    "test": "Amir Beatriz Chen Dora Emil Fatima Goran Hana Ivan Julia".split(),
}
LAST_NAMES = {
    "train": "Adams Baker Costa Dietrich Evans Fischer Garcia Hughes Ivanov Jensen Keller Lopez Meyer Novak Olsen Parker Rossi Smith Turner Wagner".split(),
    "test": "Abbott Brandt Dubois Eriksen Ferrari Grant Huber Kowalski Moreau Petrov".split(),
}
PRODUCTS = {
    "train": (
        "desk lamp,coffee grinder,office chair,water bottle,winter jacket,phone case,wall clock,bread knife,garden hose,"
        "yoga mat,bookshelf,tea pot,camping stove,bike pump,rice cooker,guitar stand,bath towel,laptop bag,night table,toy train"
    ).split(","),
    "test": "picture frame,electric kettle,running belt,hiking tent,piano stool,steel pan,baby monitor,floor mirror,radio alarm,tool box".split(
        ","
    ),
}


def mail(rng: random.Random, half: str) -> tuple[str, dict[str, str]]:
    """One mail and its record, drawn from the `half` ("train" or "test") of templates, phrasings, names and products."""
    issue, wants = rng.choice(sorted(ISSUES[half])), rng.choice(sorted(WANTS[half]))
    record = {
        "name": f"{rng.choice(FIRST_NAMES[half])} {rng.choice(LAST_NAMES[half])}",
        "order": f"{rng.choice('ABCDEFGH')}-{rng.randrange(1_000, 10_000)}",
        "product": rng.choice(PRODUCTS[half]),
        "issue": issue,
        "wants": wants,
    }
    text = rng.choice(TEMPLATES[half]).format(
        name=record["name"],
        order=record["order"],
        issue=rng.choice(ISSUES[half][issue]).format(product=record["product"]),
        wants=rng.choice(WANTS[half][wants]),
    )
    return text, record


def mails(n: int, half: str, seed: int = 0) -> list[dict]:
    """`n` chat rows: {"messages": [system, user, assistant]}; the assistant's line is the record as JSON."""
    rng = random.Random(f"{seed}:{half}")
    rows = []
    for _ in range(n):
        text, record = mail(rng, half)
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": INSTRUCTION},
                    {"role": "user", "content": text},
                    {"role": "assistant", "content": json.dumps(record, separators=(",", ":"))},
                ]
            }
        )
    return rows
