"""An event as one line of a file, and which lines of a file can be trusted."""

import json
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import itemgetter, not_
from zlib import crc32

FORM = 1
A_TIME = "2026-11-22T08:40:12.123456Z"
SEAL = b',"crc":"%08x"}'
CRC = len(SEAL % 0)
STAMP = len(f',"v":1,"id":"0123456789abcdef","t":"{A_TIME}"') + CRC
ROUNDS = 3  # in which damaged lines are set aside; where that is not enough each line is looked at
AT_ONCE = 500  # seals compared in one go, which is far quicker than one by one
FORM_1 = b',"v":1,"id":"'
START, END = b'{"item":', re.compile(rb',"crc":"[0-9a-f]{8}"\}')
# Of ticks, each counts by itself: another kernel may know of one only, and take it back.
TICKED, CANCELS = b'"outcome":"ticked"', b'"cancels"'
ITEM_AND_OUTCOME = re.compile(rb'\{"item":"[^"\\]*","outcome":"[^"\\]*"')
content_of, seal_of = itemgetter(slice(None, -CRC)), itemgetter(slice(-CRC, None))
time_of = itemgetter(slice(-CRC - len(A_TIME) - 1, -CRC - 1))
said_in = itemgetter(slice(None, len(FORM_1) - STAMP))  # all but id, time and seal


def line(event: dict) -> bytes:
    """An event as a line, sealed by its CRC-32."""
    text = json.dumps(event, separators=(",", ":")).encode()[:-1]
    return text + SEAL % crc32(text) + b"\n"


def whole(data: bytes) -> tuple[list[bytes], int]:
    """The lines of a file whose seal is right, and how many are damaged; those are searched for whole events."""
    lines = _lines(data)
    good, damaged = [], []
    for start in range(0, len(lines), AT_ONCE):
        some = lines[start : start + AT_ONCE]
        if (SEAL * len(some)) % tuple(map(crc32, map(content_of, some))) == b"".join(map(seal_of, some)):
            good += some
            continue
        right = [text[-CRC:] == SEAL % crc32(text[:-CRC]) for text in some]
        good += compress(some, right)
        damaged += filter(None, compress(some, map(not_, right)))
    for text in damaged:
        good += _search(text)
    return good, len(damaged)


def _lines(data: bytes) -> list[bytes]:
    lines = (data.replace(b"\r\n", b"\n") if b"\r" in data else data).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def decisive(data: bytes, before: str) -> list[bytes]:
    """Whole lines of a file without those that a later one repeats to the letter, as most do; only these are looked at.

    Args:
        before: a time; lines that claim to be later are all kept, for their times decide nothing.
    """
    lines, found = _lines(data), []
    for _ in range(ROUNDS):
        last = _distinct(lines, before)
        bad = {text for text in last if text[-CRC:] != SEAL % crc32(text[:-CRC])}
        found += [text for text in last if text not in bad]
        if not bad:
            return found
        said = set(map(said_in, bad))  # an earlier line that says the same may be whole
        lines = [text for text in lines if said_in(text) in said and text not in bad]
        lines += [event for text in bad for event in _search(text)]
    return found + _distinct(whole(data)[0], before)


def _distinct(lines: list[bytes], before: str) -> list[bytes]:
    times, ahead = [*map(time_of, lines)], []
    if times != sorted(times) or times[-1:] >= [before.encode()]:
        lines, ahead = _believed(lines, before)
    last = dict(zip(map(said_in, lines), lines, strict=True))
    if not all(said.endswith(FORM_1) and TICKED not in said for said in last):
        last = {(said_in(text) if _alike(text) else text): text for text in lines}
    return [*last.values(), *ahead]


def newest(lines: list[bytes], before: str) -> list[bytes]:
    """Those lines that can decide an outcome: of all that say the same of an item, the last in time.

    Args:
        before: a time; lines that claim to be later are all kept, for their times decide nothing.
    """
    lines, ahead = _believed(lines, before)
    return [*{_subject(text): text for text in lines}.values(), *ahead]


def _believed(lines: list[bytes], before: str) -> tuple[list[bytes], list[bytes]]:
    """Lines in the order of time, and those that claim to be later than they can be."""
    lines = sorted(lines, key=time_of)
    start = bisect_left(lines, before.encode(), key=time_of)
    return lines[:start], lines[start:]


def parse(lines: Iterable[bytes]) -> tuple[list[dict], int]:
    """The events of sealed lines, and how many lines hold something else."""
    events, broken = [], 0
    for text in lines:
        try:
            event = decode(text.decode())
        except (ValueError, RecursionError):
            event = None
        if is_event(event):
            event.pop("crc", None)
            events.append(event)
        else:
            broken += 1
    return events, broken


def is_event(event) -> bool:
    """Whether it has the fields that every version has, and nothing that would upset a fold."""
    if type(event) is not dict or type(event.get("v")) is not int:
        return False
    if (
        not type(event.get("item"))
        is type(event.get("outcome"))
        is type(event.get("id"))
        is type(event.get("t"))
        is str
    ):
        return False
    cancels = event.get("cancels", ())
    return not cancels or (isinstance(cancels, list) and all(isinstance(id, str) for id in cancels))


def once(events: Iterable[dict]) -> list[dict]:
    """Each event once, in the order given; two that share no more than their id are two."""
    seen: dict[str, list[dict]] = {}
    unique = []
    for event in events:
        twins = seen.setdefault(event["id"], [])
        if event not in twins:
            twins.append(event)
            unique.append(event)
    return unique


def uncancelled(events: Sequence[dict]) -> list[dict]:
    """The events without the ticks that were taken back."""
    cancelled = {id for event in events for id in event.get("cancels") or ()}
    return [event for event in events if event["id"] not in cancelled or event["outcome"] != "ticked"]


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no number of JSON")
    return value


decode = json.JSONDecoder(parse_float=_finite, parse_constant=_finite).decode


def _search(text: bytes) -> list[bytes]:
    """Whole events in a damaged line: several that lost the newline between them, or one behind a part of another."""
    found, last = [], 0
    for end in END.finditer(text):
        begins = {text.find(START, last, end.start()), text.rfind(START, last, end.start())} - {-1}
        pieces = [text[begin : end.end()] for begin in begins]
        found += [piece for piece in pieces if piece[-CRC:] == SEAL % crc32(piece[:-CRC])]
        last = end.end()
    return found


def _alike(text: bytes) -> bool:
    """Whether a line that says the same at another time can stand for this one."""
    return text[-STAMP : len(FORM_1) - STAMP] == FORM_1 and TICKED not in text


def _subject(text: bytes) -> bytes:
    """What a line is about: its item and outcome; where that is not certain at a glance, the line itself."""
    match = ITEM_AND_OUTCOME.match(text)
    return match[0] if match and CANCELS not in text and _alike(text) else text
