"""Support mails with the JSON record that each one should become: generated, so the right answer is known.

Held-out mails use templates, phrasings, names and products that never occur in the training mails. A model
that only learned our sentences by heart scores badly on them.
"""

import json
import random

INSTRUCTION = (
    "Turn the mail into JSON with the keys name, order, product, issue, wants. "
    "issue: damaged, late, wrong_item or missing_part. wants: refund or replacement."
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
            "The {product} has a hole in it.",
            "The {product} came broken into two halves.",
            "The box was squashed and the {product} is ruined.",
            "There are cracks and scratches on my {product}.",
            "The edge of the {product} is chipped.",
            "My {product} was dented on the way.",
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
            "The {product} still has not come.",
            "I am waiting and waiting, and no {product}.",
            "The date you promised for the {product} is long past.",
            "My {product} has not been sent, it seems.",
            "A month, and the {product} is not here.",
            "How long does the {product} take to arrive?",
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
            "The article in the box is different from the {product} I bought.",
            "I expected a {product} and unpacked something else.",
            "You delivered another product, not the {product}.",
            "The {product} I got is not the one I asked for.",
            "I opened the parcel and there was no {product} but another thing.",
            "It seems you confused my {product} with another order.",
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
            "The handle that belongs to the {product} was not in the box.",
            "I got the {product} without the charger.",
            "Some bolts of the {product} are missing.",
            "The {product} lacks its cable.",
            "Part of the {product} is not here: the bag with the screws.",
            "In the package of the {product} there was one piece too few.",
        ),
    },
    "test": {
        "damaged": (
            "The {product} fell apart as I unpacked it.",
            "One corner of the {product} is crushed.",
            "I found the {product} cracked and full of scratches.",
            "The {product} is cracked and cannot be used.",
        ),
        "late": (
            "Ten days after the promised date I still have no {product}.",
            "How much longer must I wait for the {product}?",
            "The {product} has not been delivered so far.",
            "I have been waiting for the {product} since last month.",
        ),
        "wrong_item": (
            "Somebody mixed up the parcels: what I unpacked was not the {product}.",
            "I asked for a {product}, yet the box contained an unrelated article.",
            "You shipped me something different from the {product}.",
            "The {product} that I chose is not what came.",
        ),
        "missing_part": (
            "Two bolts that belong to the {product} were not in the package.",
            "The {product} came without the charger that your page promised.",
            "The handle of the {product} is missing from the box.",
            "There is no manual and no plug with the {product}.",
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
            "I want the money returned.",
            "Please refund me.",
            "Kindly pay the amount back.",
            "I expect to get my money.",
            "Give me back what I paid.",
            "Please transfer the sum to me again.",
            "I would rather have my money.",
            "Return the money, please.",
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
            "I would like another one instead.",
            "Please deliver a new one.",
            "Ship a new one, please.",
            "Could you send me another?",
            "I want a new one.",
            "Please replace it.",
            "Can I get a different one instead?",
            "I want it exchanged.",
        ),
    },
    "test": {
        "refund": (
            "Kindly transfer the amount back to me.",
            "I expect my money to be returned.",
            "A refund would be right.",
            "I ask for my money.",
            "Pay me back what it cost.",
        ),
        "replacement": (
            "Could I get a new one instead?",
            "Ship me another, please.",
            "Please exchange it for a good one.",
            "I hope for a replacement.",
            "Send me the right one, please.",
        ),
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
    "train": (
        *("Anna", "Ben", "Clara", "David", "Elena", "Frank", "Grace", "Hugo", "Irene", "Jack"),
        *("Karen", "Leo", "Maria", "Nick", "Olivia", "Peter", "Rosa", "Simon", "Tina", "Victor"),
    ),
    "test": (*("Adam", "Lucy", "Tom", "Sarah", "Paul", "Emma", "Mark", "Julia", "Robert", "Alice"),),
}
LAST_NAMES = {
    "train": (
        *("Adams", "Baker", "Cooper", "Evans", "Fisher", "Garcia", "Hughes", "Jones", "Keller", "Lopez"),
        *("Meyer", "Nelson", "Olsen", "Parker", "Roberts", "Smith", "Turner", "Wagner", "Young", "Miller"),
    ),
    "test": (*("Brown", "Clark", "Davis", "Green", "Hall", "King", "Lewis", "Moore", "Scott", "Walker"),),
}
PRODUCTS = {
    "train": (
        *("desk lamp", "coffee grinder", "office chair", "water bottle", "winter jacket", "phone case"),
        *("wall clock", "bread knife", "garden hose", "yoga mat", "bookshelf", "tea pot"),
        *("camping stove", "bike pump", "rice cooker", "guitar stand", "bath towel", "laptop bag"),
        *("night table", "toy train", "sun hat", "door bell", "travel pillow", "dog bed"),
        *("soup bowl", "snow shovel", "hand mixer", "paper lamp", "swim goggles", "kitchen scale"),
        *("rain coat", "music box", "shoe rack", "leather wallet", "bird house", "paint brush"),
        *("alarm system", "wool blanket", "fishing rod", "sewing machine"),
    ),
    "test": (
        *("picture frame", "steel kettle", "running belt", "family tent", "piano stool", "steel pan"),
        *("baby monitor", "floor mirror", "radio alarm", "tool box"),
    ),
}


def mail(rng: random.Random, half: str, issue: str, wants: str) -> tuple[str, dict[str, str]]:
    """One mail and its record, drawn from the `half` ("train" or "test") of templates, phrasings, names and products."""
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


def mails(n: int, half: str, seed: int | str = 0) -> list[dict]:
    """`n` chat rows: {"messages": [system, user, assistant]}; the assistant's line is the record as JSON.

    Each pair of issue and wants comes equally often.
    """
    rng = random.Random(f"{seed}:{half}")
    pairs = [(issue, wants) for issue in ISSUES[half] for wants in WANTS[half]]
    rows = []
    for i in range(n):
        if i % len(pairs) == 0:
            rng.shuffle(pairs)
        text, record = mail(rng, half, *pairs[i % len(pairs)])
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
