"""Odd answers to the exercises of the lesson on messages; see odd_answers.py."""

ODD = {
    "choose-a-mechanism": [
        (
            "another spelling",
            """\
def choose(job):
    return "Pipe"
""",
            "wrong",
            "which is not offered",
        ),
        (
            "the name of the job",
            """\
def choose(job):
    return job
""",
            "wrong",
            "gives `'tiny messages'`, which is not offered",
        ),
        (
            "much text, and half a character",
            """\
def choose(job):
    return "\\ud800 pipe" * 10**6
""",
            "wrong",
            "which is not offered",
        ),
        (
            "prints it",
            """\
def choose(job):
    print("pipe")
""",
            "wrong",
            "gives `None`, which is no text",
        ),
        (
            "an error that cannot be printed",
            """\
class Odd(Exception):
    def __str__(self):
        raise ValueError


def choose(job):
    raise Odd
""",
            "wrong",
            "fails with `Odd: it cannot be printed`",
        ),
        (
            "a list of its own of what is offered",
            """\
MECHANISMS = ("pipe",)


def choose(job):
    return MECHANISMS[0]
""",
            "not yet",
            "`MECHANISMS` is given by the exercise",
        ),
    ],
    "batch-the-client": [
        (
            "gives nothing back",
            """\
def prices_of(service, items):
    found = [service.price(item) for item in items]
""",
            "wrong",
            "gives `None`",
        ),
        (
            "asks without an end",
            """\
def prices_of(service, items):
    while True:
        service.price("tea")
""",
            "wrong",
            "no end is in sight",
        ),
        (
            "calls itself without an end",
            """\
def prices_of(service, items):
    return prices_of(service, items)
""",
            "wrong",
            "fails with `RecursionError",
        ),
        (
            "a generator",
            """\
def prices_of(service, items):
    return (service.price(item) for item in items)
""",
            "wrong",
            "a value of type `generator`",
        ),
        (
            "a dict",
            """\
def prices_of(service, items):
    return dict(zip(items, service.prices(items[:100])))
""",
            "wrong",
            "a value of type `dict`",
        ),
        (
            "a list that is equal to all",
            """\
class All(list):
    def __eq__(self, other):
        return True


def prices_of(service, items):
    return All()
""",
            "wrong",
            "a value of type `All`",
        ),
        (
            "a price that is equal to all",
            """\
class All(int):
    def __eq__(self, other):
        return True


def prices_of(service, items):
    return [All() for _ in items]
""",
            "wrong",
            "a wrong price at place 0",
        ),
        (
            "more digits than can be shown",
            """\
def prices_of(service, items):
    return [10**5000] * len(items)
""",
            "wrong",
            "a wrong price at place 0",
        ),
        (
            "another service",
            """\
def prices_of(service, items):
    type(service).price = lambda self, item: 3
    return [service.price(item) for item in items]
""",
            "wrong",
            "The service was changed",
        ),
        (
            "more room",
            """\
def prices_of(service, items):
    service.most = 10**6
    return service.prices(items)
""",
            "wrong",
            "read-only",
        ),
        (
            "the book itself",
            """\
def prices_of(service, items):
    return [service.book[item] for item in items]
""",
            "wrong",
            "has no attribute 'book'",
        ),
        (
            "clears the count",
            """\
def prices_of(service, items):
    found = [service.price(item) for item in items]
    for cell in service.price.__func__.__closure__:
        if type(cell.cell_contents) is list:
            cell.cell_contents.clear()
    return found
""",
            "wrong",
            "that no message of the service can have carried",
        ),
        (
            "many at once, from threads",
            """\
import concurrent.futures


def prices_of(service, items):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(service.price, items))
""",
            "wrong",
            "sends one for each item",
        ),
        (
            "parts that are too short",
            """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 100):
        found += service.prices(items[first : first + 99])
    return found
""",
            "wrong",
            "is never asked for",
        ),
        (
            "parts that overlap",
            """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 99):
        found += service.prices(items[first : first + 100])
    return found
""",
            "wrong",
            "Do the parts overlap?",
        ),
        (
            "from the end",
            """\
def prices_of(service, items):
    found = []
    for last in range(len(items), 0, -100):
        found += service.prices(items[max(0, last - 100) : last])
    return found
""",
            "wrong",
            "in another order",
        ),
        (
            "asks again when it is refused",
            """\
def prices_of(service, items):
    try:
        return service.prices(items) if items else []
    except ValueError:
        half = len(items) // 2
        return prices_of(service, items[:half]) + prices_of(service, items[half:])
""",
            "wrong",
            "some are asked for again",
        ),
        (
            "sorts the order",
            """\
def prices_of(service, items):
    items.sort()
    return service.prices(items)
""",
            "wrong",
            "is another list afterwards",
        ),
    ],
    "find-the-hidden-copy": [
        (
            "gives nothing back",
            """\
def checksums(block, parts):
    zlib.crc32(block)
""",
            "wrong",
            "gives `None`",
        ),
        (
            "one for all",
            """\
def checksums(block, parts):
    return zlib.crc32(block)
""",
            "wrong",
            "a value of type `int`",
        ),
        (
            "the whole block each time",
            """\
def checksums(block, parts):
    return [zlib.crc32(block) for _ in parts]
""",
            "wrong",
            "checksums of the whole block",
        ),
        (
            "a byte too many",
            """\
def checksums(block, parts):
    view = memoryview(block)
    return [zlib.crc32(view[begin : end + 1]) for begin, end in parts]
""",
            "wrong",
            "a byte too many",
        ),
        (
            "another sum",
            """\
import hashlib


def checksums(block, parts):
    view = memoryview(block)
    return [hashlib.sha256(view[begin:end]).hexdigest() for begin, end in parts]
""",
            "wrong",
            "not that of its part",
        ),
        (
            "writes into the block",
            """\
def checksums(block, parts):
    block[0:4] = b"mine"
    view = memoryview(block)
    return [zlib.crc32(view[begin:end]) for begin, end in parts]
""",
            "wrong",
            "something was written into it",
        ),
        (
            "empties the list of parts",
            """\
def checksums(block, parts):
    view = memoryview(block)
    return [zlib.crc32(view[begin:end]) for begin, end in iter(lambda: parts.pop(0) if parts else None, None)]
""",
            "wrong",
            "The list of parts is another one",
        ),
        (
            "reads it as a file",
            """\
def checksums(block, parts):
    found = []
    for begin, end in parts:
        block.seek(begin)
        found.append(zlib.crc32(block.read(end - begin)))
    return found
""",
            "wrong",
            "is a copy of that part",
        ),
        (
            "joins what it cut",
            """\
def checksums(block, parts):
    view = memoryview(block)
    return [zlib.crc32(b"".join([view[begin:end]])) for begin, end in parts]
""",
            "wrong",
            "taken out of it",
        ),
        (
            "tiny pieces",
            """\
def checksums(block, parts):
    view, found = memoryview(block), []
    for begin, end in parts:
        total = 0
        for first in range(begin, end, 512):
            total = zlib.crc32(view[first : min(first + 512, end)].tobytes(), total)
        found.append(total)
    return found
""",
            "wrong",
            "still each byte is copied",
        ),
        (
            "byte by byte",
            """\
def checksums(block, parts):
    found = []
    for begin, end in parts:
        total = 0
        for place in range(begin, end):
            total = zlib.crc32(block[place : place + 1], total)
        found.append(total)
    return found
""",
            "wrong",
            "and each is made an object",
        ),
        (
            "an array, which takes byte after byte",
            """\
import array


def checksums(block, parts):
    data = array.array("B", block)
    return [zlib.crc32(data[begin:end]) for begin, end in parts]
""",
            "wrong",
            "and each is made an object",
        ),
        (
            "an array of all",
            """\
import array


def checksums(block, parts):
    data = array.array("B")
    data.frombytes(block)
    return [zlib.crc32(memoryview(data)[begin:end]) for begin, end in parts]
""",
            "wrong",
            "as much as the whole block",
        ),
        (
            "in a thread of its own",
            """\
def checksums(block, parts):
    found = []
    work = threading.Thread(target=lambda: found.extend(zlib.crc32(block[begin:end]) for begin, end in parts))
    work.start()
    work.join()
    return found
""",
            "wrong",
            "is a copy of that part",
        ),
        (
            "ends the count",
            """\
import tracemalloc


def checksums(block, parts):
    tracemalloc.stop()
    return [zlib.crc32(block[begin:end]) for begin, end in parts]
""",
            "wrong",
            "ended the counting of memory",
        ),
        (
            "ends the trace",
            """\
import sys


def checksums(block, parts):
    sys.settrace(None)
    return [zlib.crc32(block[begin:end]) for begin, end in parts]
""",
            "wrong",
            "is a copy of that part",
        ),
    ],
}
