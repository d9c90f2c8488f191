"""Classic programs with containers, closures and joins. Rule: each as a student types it, with a machine by hand."""

# ruff: noqa: PLC0206, PLR1730 - students use globals, and plain loops and tests

from __future__ import annotations

import threading
import time
from collections import deque

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"


# ------------------------------------------------------------------------------------- dict changed while iterated
prices = {"tea": 2, "cake": 3}
prices_total = 0


def add_prices():
    global prices_total
    total = 0
    for name in prices:
        total += prices[name]
    prices_total = total


def add_prices_of_copy():
    global prices_total
    total = 0
    for name in list(prices):
        total += prices[name]
    prices_total = total


def add_juice():
    prices["juice"] = 4


ADD_PRICES = """
    local s, i, n = 0, 0, None
    again: n = n or juice + 2 -> !RuntimeError if n != juice + 2
           -> add if i == n
           s += i + 2; i += 1 -> again
    add:   total = s
    """
ADD_COPY = """
    n = 9 if juice else 5
    total = n
    """
DICT_CHANGED = classic(
    "dict changed while iterated",
    "juice, total = 0, 0",
    outcome=(lambda: prices_total, "total"),
    broken=([add_prices, add_juice], [ADD_PRICES, "juice = 1"], "exception"),
    mended=([add_prices_of_copy, add_juice], [ADD_COPY, "juice = 1"], None),
)


# --------------------------------------------------------------------------------------------- once, by setdefault
class Seats:
    """Who was told that the seat by the window is theirs."""

    def __init__(self):
        self.desks = {}
        self.told = []


def claim(seats, name):
    if "window" not in seats.desks:
        seats.desks["window"] = name
        seats.told.append(name)


def claim_at_once(seats, name):
    if seats.desks.setdefault("window", name) == name:
        seats.told.append(name)


CLAIM = """
    pass -> end if desk
    desk = me
    told += 1
    """
CLAIM_AT_ONCE = """
    desk = desk or me; o = desk -> end if o != me
    told += 1
    """
ONCE = classic(
    "once (setdefault)",
    "desk, told = '', 0",
    setup=Seats,
    outcome=(lambda seats: f"{seats.desks['window']} has it, {len(seats.told)} told", "f'{desk} has it, {told} told'"),
    check=(lambda seats: len(seats.told) == 1, "told == 1"),
    broken=([lambda seats: claim(seats, "A"), lambda seats: claim(seats, "B")], [CLAIM] * 2, "wrong result"),
    mended=(
        [lambda seats: claim_at_once(seats, "A"), lambda seats: claim_at_once(seats, "B")],
        [CLAIM_AT_ONCE] * 2,
        None,
    ),
)


# ------------------------------------------------------------------------------------------ audit during a transfer
class Bank:
    def __init__(self):
        self.money = {"ann": 50, "bob": 50}
        self.audit = None
        self.lock = threading.RLock()

    def pay(self, amount):
        self.money["ann"] -= amount
        self.money["bob"] += amount

    def count(self):
        self.audit = self.money["ann"] + self.money["bob"]

    def pay_locked(self, amount):
        with self.lock:
            self.pay(amount)

    def count_locked(self):
        with self.lock:
            self.count()


def pay_30(bank):
    bank.pay(30)


def count(bank):
    bank.count()


def pay_30_locked(bank):
    bank.pay_locked(30)


def count_locked(bank):
    bank.count_locked()


PAY = """
    m = ann
    ann = m - 30
    m = bob
    bob = m + 30
    """
COUNT = """
    l = ann
    m = bob
    audit = l + m
    """
AUDIT = classic(
    "audit during a transfer",
    "ann, bob, audit, lock = 50, 50, None, None",
    setup=Bank,
    outcome=(lambda bank: (bank.money["ann"], bank.money["bob"], bank.audit), "(ann, bob, audit)"),
    check=(lambda bank: bank.audit == 100, "audit == 100"),
    broken=([pay_30, count], [PAY, COUNT], "wrong result"),
    mended=([pay_30_locked, count_locked], [LOCK + PAY + FREE, LOCK + COUNT + FREE], None),
)


# ----------------------------------------------------------------------------------- last item, taken by another one
basket = ["apple"]
basket_lock = threading.Lock()


def take_last():
    if basket:
        basket.pop()


def take_last_locked():
    with basket_lock:
        if basket:
            basket.pop()


TAKE_LAST = """
        n = basket -> end if not n
        n = basket; basket = 0 -> end if n else !IndexError
    """
TAKE_LAST_LOCKED = """
          lock = me when lock is None
          n = basket -> free if not n
          basket = 0
    free: lock = None
    """
LAST_ITEM = classic(
    "the last item",
    "basket, lock = 1, None",
    outcome=(lambda: len(basket), "basket"),
    broken=([take_last, take_last], [TAKE_LAST] * 2, "exception"),
    mended=([take_last_locked, take_last_locked], [TAKE_LAST_LOCKED] * 2, None),
)


# ----------------------------------------------------------------------------------------------------- the next id
class Library:
    def __init__(self):
        self.books = deque()
        self.cards = []
        self.lock = threading.Lock()

    def register(self):
        number = len(self.books) + 1
        self.books.append(number)
        return number


def register_book(library):
    library.cards.append(library.register())


def register_book_locked(library):
    with library.lock:
        number = library.register()
    library.cards.append(number)


REGISTER = """
    n = books + 1
    books += 1
    {free}
    cards += (n,)
    """
NEXT_ID = classic(
    "the next number",
    "books, cards, lock = 0, (), None",
    setup=Library,
    outcome=(lambda library: library.cards, "list(cards)"),
    check=(lambda library: len(set(library.cards)) == 2, "len(set(cards)) == 2"),
    broken=([register_book, register_book], [REGISTER.format(free="")] * 2, "wrong result"),
    mended=([register_book_locked, register_book_locked], [LOCK + REGISTER.format(free=FREE)] * 2, None),
)


# --------------------------------------------------------------------------------------------------------- closures
def make_counter():
    count = 0
    lock = threading.Lock()

    def increase():
        nonlocal count
        count += 1

    def increase_locked():
        with lock:
            increase()

    return increase, increase_locked, lambda: count


increase, increase_locked, counted = make_counter()
COUNT_ONE = """
    n = count
    count = n + 1
    """
CLOSURE = classic(
    "closure counter",
    "count, lock = 0, None",
    outcome=(lambda: counted(), "count"),  # noqa: PLW0108 - a lambda of the student's
    check=(lambda: counted() == 2, "count == 2"),
    broken=([increase, increase], [COUNT_ONE] * 2, "wrong result"),
    mended=([increase_locked, increase_locked], [LOCK + COUNT_ONE + FREE] * 2, None),
)


# ------------------------------------------------------------------------------------------------------ the maximum
def maximum_main():
    best = {"score": 0}

    def submit(score):
        if score > best["score"]:
            best["score"] = score

    threads = [threading.Thread(target=submit, args=(score,)) for score in (7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    maximum_found.append(best["score"])


def maximum_locked_main():
    best = {"score": 0}
    lock = threading.Lock()

    def submit(score):
        lock.acquire()
        try:
            if score > best["score"]:
                best["score"] = score
        finally:
            lock.release()

    threads = [threading.Thread(target=submit, kwargs={"score": score}) for score in (7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    maximum_found.append(best["score"])


maximum_found = []
SUBMIT = """
    b = best -> {free} if b >= {score}
    best = {score}
    """
MAXIMUM = classic(
    "maximum",
    "best, lock = 0, None",
    outcome=(lambda: maximum_found[0], "best"),
    check=(lambda: maximum_found == [9], "best == 9"),
    broken=(maximum_main, [SUBMIT.format(score=score, free="end") for score in (7, 9)], "wrong result"),
    mended=(
        maximum_locked_main,
        [f"{LOCK}{SUBMIT.format(score=score, free='free')}free: {FREE}" for score in (7, 9)],
        None,
    ),
)


# --------------------------------------------------------------------------------------------------------- exchange
class Pair:
    def __init__(self):
        self.left, self.right = "tea", "milk"
        self.lock = threading.Lock()

    def exchange(self):
        self.left, self.right = self.right, self.left


def exchange(pair):
    pair.exchange()


def exchange_locked(pair):
    with pair.lock:
        pair.exchange()


EXCHANGE = """
    r = right
    l = left
    left = r
    right = l
    """
EXCHANGE_CLASSIC = classic(
    "exchange of two values",
    "left, right, lock = 'tea', 'milk', None",
    setup=Pair,
    outcome=(lambda pair: f"{pair.left}, {pair.right}", "f'{left}, {right}'"),
    check=(lambda pair: (pair.left, pair.right) == ("tea", "milk"), "(left, right) == ('tea', 'milk')"),
    broken=([exchange, exchange], [EXCHANGE] * 2, "wrong result"),
    mended=([exchange_locked, exchange_locked], [LOCK + EXCHANGE + FREE] * 2, None),
)


# ------------------------------------------------------------------------------------------- an item between two sets
class House:
    def __init__(self):
        self.kitchen, self.garden = {"cat"}, set()
        self.seen = None
        self.lock = threading.Lock()


def cat_goes_out(house):
    house.kitchen.remove("cat")
    time.sleep(0.01)
    house.garden.add("cat")


def look_for_cat(house):
    house.seen = "cat" in house.kitchen or "cat" in house.garden


def cat_goes_out_locked(house):
    with house.lock:
        cat_goes_out(house)


def look_for_cat_locked(house):
    with house.lock:
        look_for_cat(house)


GO_OUT = """
    kitchen = 0
    garden = 1
    """
LOOK_FOR = """
         k = kitchen -> seen if k
         k = garden
    seen: seen = bool(k)
    """
BETWEEN = classic(
    "an item between two places",
    "kitchen, garden, seen, lock = 1, 0, None, None",
    setup=House,
    outcome=(lambda house: house.seen, "seen"),
    check=(lambda house: house.seen, "seen"),
    broken=([cat_goes_out, look_for_cat], [GO_OUT, LOOK_FOR], "wrong result"),
    mended=([cat_goes_out_locked, look_for_cat_locked], [LOCK + GO_OUT + FREE, LOCK + LOOK_FOR + FREE], None),
)


# -------------------------------------------------------------------------------------------- a new lock in each call
steps = [0]
steps_lock = threading.Lock()


def walk_one():
    lock = threading.Lock()
    with lock:
        steps[0] += 1


def walk_one_locked(lock=steps_lock):
    with lock:
        steps[0] += 1


WALK = """
    s = steps
    steps = s + 1
    """
OWN_LOCK = classic(
    "a new lock in each call",
    "steps, lock = 0, None",
    outcome=(lambda: steps[0], "steps"),
    check=(lambda: steps == [2], "steps == 2"),
    broken=([walk_one, walk_one], [WALK] * 2, "wrong result"),
    mended=([walk_one_locked, walk_one_locked], [LOCK + WALK + FREE] * 2, None),
)


# -------------------------------------------------------------------------------------------------- a forgotten join
class Sums:
    result = None


def add_up(sums):
    sums.result = 42


def print_too_early():
    global printed
    sums = Sums()
    worker = threading.Thread(target=add_up, args=(sums,))
    worker.start()
    printed = sums.result
    worker.join()


def print_after_join():
    global printed
    sums = Sums()
    worker = threading.Thread(target=add_up, args=(sums,))
    worker.start()
    worker.join()
    worker.join()  # a second join does no harm
    printed = sums.result


printed = "nothing"
FORGOTTEN_JOIN = classic(
    "a join too late",
    "sums, printed, starts = None, 'nothing', 0",
    outcome=(lambda: printed, "printed"),
    check=(lambda: printed == 42, "printed == 42"),
    broken=(
        print_too_early,
        {"main": "starts = 1\nx = sums\nprinted = x\npass when 'A' in ended", "A": "pass when starts\nsums = 42"},
        "wrong result",
    ),
    mended=(
        print_after_join,
        {"main": "starts = 1\npass when 'A' in ended\nx = sums\nprinted = x", "A": "pass when starts\nsums = 42"},
        None,
    ),
)


# ---------------------------------------------------------------------------------------- a join with the lock held
def count_words(words, lock, found):
    for word in words:
        with lock:
            found[word] = found.get(word, 0) + 1


def join_inside_lock():
    lock, found = threading.Lock(), {}
    worker = threading.Thread(target=count_words, args=(["to", "be"], lock, found))
    with lock:
        worker.start()
        worker.join()
    words_found.append(len(found))


def join_outside_lock():
    lock, found = threading.Lock(), {}
    worker = threading.Thread(target=count_words, args=(["to", "be"], lock, found))
    with lock:
        worker.start()
        found["or"] = 1
    worker.join()
    words_found.append(len(found))


words_found = []
COUNT_WORDS = "pass when starts\n" + (LOCK + "pass\nfound += 1\n" + FREE) * 2
JOIN_IN_LOCK = classic(
    "a join with the lock held",
    "lock, found, starts = None, 0, 0",
    outcome=(lambda: words_found[0], "found"),
    broken=(
        join_inside_lock,
        {"main": f"{LOCK}starts = 1\npass when 'A' in ended\n{FREE}", "A": COUNT_WORDS},
        "deadlock",
    ),
    mended=(
        join_outside_lock,
        {"main": f"{LOCK}starts = 1\nfound += 1\n{FREE}pass when 'A' in ended", "A": COUNT_WORDS},
        None,
    ),
)
