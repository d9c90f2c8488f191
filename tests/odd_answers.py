"""Odd answers to exercises, which were once taken for right or told what is not so: what the check must say of each.

For each exercise: what is odd, the answer, the state that it gets, and words of its message.
"""

ODD = {
    "count-visits": [
        (
            "a fixed number, unlocked",
            """\
def visit(page):
    page.hits = 2
""",
            "wrong",
            "must add 2 to `hits`",
        ),
        (
            "the first one counts for both",
            """\
def visit(page):
    with page.lock:
        if page.hits == 0:
            page.hits = 2
""",
            "wrong",
            "must add 2 to `hits`",
        ),
        (
            "a time-out that is ignored",
            """\
def visit(page):
    page.lock.acquire(timeout=1)
    page.hits += 1
    page.lock.release()
""",
            "wrong",
            "`RuntimeError: release unlocked lock`, in some interleavings only",
        ),
        (
            "fails by itself",
            """\
def visit(page):
    with page.lok:
        page.hits += 1
""",
            "wrong",
            "no attribute 'lok'`. That is no question of interleaving yet",
        ),
        (
            "skips the work where the lock is not free",
            """\
def visit(page):
    if not page.lock.locked():
        with page.lock:
            page.hits += 1
""",
            "wrong",
            "or leaves out its work",
        ),
        (
            "a class of ones own",
            """\
class Page:
    def __init__(self):
        self.hits, self.lock = 0, threading.RLock()


def visit(page):
    with page.lock:
        page.hits += 1
""",
            "not yet",
            "`Page` is given by the exercise",
        ),
        (
            "the class that is given, copied",
            """\
class Page:
    def __init__(self):
        self.hits = 0
        self.lock = threading.Lock()


def visit(page):
    with page.lock:
        page.hits += 1
""",
            "proved",
            "",
        ),
    ],
    "last-ticket": [
        (
            "bills, and takes it back",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock == 0:
            return
    bill(shop, customer)
    with shop.lock:
        if shop.stock == 0:
            shop.billed.remove(customer)
        else:
            shop.stock -= 1
""",
            "wrong",
            "Leave `shop.billed` to `bill`",
        ),
        (
            "bills by hand while there are many",
            """\
def sell(shop, customer):
    with shop.lock:
        left, shop.stock = shop.stock, max(shop.stock - 1, 0)
    if left == 1:
        bill(shop, customer)
    elif left:
        shop.billed.append(customer)
""",
            "wrong",
            "Nobody calls `bill` for some customer",
        ),
        (
            "sells to one of two only",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock == 0:
            return
        shop.stock = 0
    bill(shop, customer)
""",
            "wrong",
            "With two tickets left, two sellers one after the other",
        ),
        (
            "a list of its own by a name that sounds alike",
            """\
unbilled = []


def sell(shop, customer):
    unbilled.append(customer)
    if shop.stock > 0:
        shop.stock -= 1
        bill(shop, customer)
""",
            "wrong",
            "`sell` takes no lock",
        ),
        (
            "looks at who was billed",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.billed and shop.stock == 0:
            return
        shop.stock -= 1
    bill(shop, customer)
""",
            "wrong",
            "`bill` must be called for one customer",
        ),
    ],
    "break-the-cache": [
        (
            "reads past the methods",
            """\
def first(cache):
    cache.put("seats", cache._items["seats"] - 1)


def second(cache):
    seats = cache._items["seats"]
    cache.put("seats", seats - 1)
""",
            "wrong",
            "from the inside",
        ),
        (
            "what it puts is never equal",
            """\
def first(cache):
    cache.put("seats", object())


def second(cache):
    cache.put("seats", object())
""",
            "wrong",
            "does not end in the same way",
        ),
        (
            "counts outside the cache",
            """\
total = [0]


def first(cache):
    total[0] += 1
    cache.put("seats", total[0])


def second(cache):
    total[0] += 1
    cache.put("seats", total[0])
""",
            "wrong",
            "keep everything in the cache",
        ),
        (
            "changes a list that is in the cache",
            """\
def first(cache):
    cache.put("log", [])
    cache.get("log").append(1)


def second(cache):
    cache.put("log", [])
    cache.get("log").append(2)
""",
            "wrong",
            "without a method of the cache",
        ),
        (
            "each writes until its own stays",
            """\
def first(cache):
    while cache.get("seats") != 1:
        cache.put("seats", 1)


def second(cache):
    while cache.get("seats") != 2:
        cache.put("seats", 2)
""",
            "wrong",
            "Not broken",
        ),
        (
            "two locks of ones own",
            """\
one, two = threading.Lock(), threading.Lock()


def first(cache):
    with one, two:
        cache.put("seats", 1)


def second(cache):
    with two, one:
        cache.put("seats", 2)
""",
            "wrong",
            "at nothing of the cache",
        ),
    ],
    "same-order": [
        (
            "one moves for both",
            """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(5)


def to_till(shop):
    pass
""",
            "wrong",
            "Alone, `to_safe` must move 10",
        ),
        (
            "the other one waits",
            """\
done = threading.Event()


def to_safe(shop):
    done.wait()
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(-5)
    done.set()
""",
            "wrong",
            "waits until the other one has run",
        ),
        (
            "gives up with an error",
            """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with shop.safe_lock:
        if not shop.till_lock.acquire(timeout=1):
            raise TimeoutError
        shop.move(-5)
        shop.till_lock.release()
""",
            "wrong",
            "`TimeoutError`, in some interleavings only",
        ),
    ],
    "any-direction": [
        (
            "an order for the first account only",
            """\
def transfer(source, target, amount):
    first, second = (target, source) if target.number == 1 else (source, target)
    with first.lock, second.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "wrong",
            "The order still depends on who pays whom",
        ),
        (
            "nothing is booked",
            """\
def transfer(source, target, amount):
    first, second = sorted((source, target), key=lambda account: account.number)
    with first.lock, second.lock:
        source.balance -= amount
        target.balance += amount
""",
            "wrong",
            "call `book` once",
        ),
        (
            "one account is free again while it is booked",
            """\
def transfer(source, target, amount):
    first, second = sorted((source, target), key=lambda account: account.number)
    with second.lock:
        with first.lock:
            source.balance -= amount
            target.balance += amount
        book(source, target)
""",
            "wrong",
            "is not locked until `book` is done",
        ),
        (
            "tries again after a pause",
            """\
import random


def transfer(source, target, amount):
    while True:
        with source.lock:
            if target.lock.acquire(blocking=False):
                source.balance -= amount
                target.balance += amount
                book(source, target)
                target.lock.release()
                return
        time.sleep(random.random())
""",
            "not finished",
            "If only luck ends it",
        ),
        (
            "sorted by hash",
            """\
def transfer(source, target, amount):
    first, second = sorted((source, target), key=hash)
    with first.lock, second.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "cannot check",
            "order by what stays, such as `number`",
        ),
    ],
    "one-lock": [
        (
            "a second lock by another name",
            """\
door = threading.Lock()


def clerk(office):
    with office.lock, door:
        office.tray.put("letter")


def boss(office):
    with door, office.lock:
        pass
    office.tray.get()
""",
            "wrong",
            "with two locks",
        ),
        (
            "a semaphore for a second lock",
            """\
door = threading.Semaphore(1)


def clerk(office):
    with office.lock, door:
        office.tray.put("letter")


def boss(office):
    with door, office.lock:
        pass
    office.tray.get()
""",
            "wrong",
            "with two locks",
        ),
        (
            "a condition to wait for",
            """\
arrived = threading.Condition()


def clerk(office):
    with office.lock:
        office.tray.put("letter")
        with arrived:
            arrived.notify_all()


def boss(office):
    with office.lock, arrived:
        while office.tray.empty():
            arrived.wait()
        office.tray.get()
""",
            "proved",
            "",
        ),
        (
            "goes round for ever",
            """\
def clerk(office):
    while True:
        pass


def boss(office):
    office.tray.get()
""",
            "wrong",
            "a loop goes round for ever",
        ),
        (
            "waits until the letter is dealt with",
            """\
def clerk(office):
    with office.lock:
        office.tray.put("letter")
        office.tray.join()


def boss(office):
    with office.lock:
        office.tray.get()
        office.tray.task_done()
""",
            "wrong",
            "what only the other one brings",
        ),
        (
            "waits for its own lock",
            """\
def clerk(office):
    with office.lock:
        office.tray.put("letter")


def boss(office):
    with office.lock:
        if office.tray.empty():
            with office.lock:
                pass
    office.tray.get()
""",
            "wrong",
            "it holds itself",
        ),
    ],
}
