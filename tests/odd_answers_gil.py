"""Odd answers to the exercises of the lesson on the GIL; see odd_answers.py."""

ODD = {
    "predict-the-curve": [
        (
            "true, which Python takes for one",
            """\
def cores(work, workers):
    return True
""",
            "wrong",
            "gives `True`, which is no number",
        ),
        (
            "no finite number",
            """\
def cores(work, workers):
    return float("inf")
""",
            "wrong",
            "gives `inf`, which is no number",
        ),
        (
            "more digits than a float has",
            """\
def cores(work, workers):
    return 10**400
""",
            "wrong",
            "fails with `OverflowError",
        ),
        (
            "another number each time",
            """\
count = 0


def cores(work, workers):
    global count
    count += 1
    return count
""",
            "wrong",
            "gives 1.0 and then 5.0",
        ),
        (
            "a value that cannot be shown",
            """\
class Odd:
    def __repr__(self):
        raise ValueError("no")


def cores(work, workers):
    return Odd()
""",
            "wrong",
            "fails with `ValueError: no`",
        ),
        (
            "one number between all of them",
            """\
def cores(work, workers):
    return 1.4
""",
            "wrong",
            "says 1.4, and 1.02 cores were measured",
        ),
        (
            "a GIL of its own",
            """\
GIL = False


def cores(work, workers):
    return 1 if GIL else workers
""",
            "not yet",
            "`GIL` is given by the exercise",
        ),
        (
            "near enough",
            """\
def cores(work, workers):
    return 2.2 if work == "sha256" else 0.9
""",
            "proved",
            "",
        ),
    ],
    "hash-files": [
        (
            "two locks in opposite order",
            """\
notes = threading.Lock()


def worker(job):
    while True:
        with job.lock, notes:
            if not job.files:
                return
            file = job.files.pop()
        line = f"{file} {sha256_of(file)}\\n"
        with notes, job.lock:
            job.report += line
""",
            "wrong",
            "They stop for ever",
        ),
        (
            "hashes something else",
            """\
def worker(job):
    while True:
        with job.lock:
            if not job.files:
                return
            file = job.files.pop()
        line = f"{file} {file.upper()}\\n"
        with job.lock:
            job.report += line
""",
            "wrong",
            "A worker that is alone",
        ),
        (
            "does one file only",
            """\
def worker(job):
    with job.lock:
        file = job.files.pop()
    line = f"{file} {sha256_of(file)}\\n"
    with job.lock:
        job.report += line
""",
            "wrong",
            "A worker that is alone",
        ),
        (
            "gives the lock back for the hash",
            """\
def worker(job):
    while True:
        with job.lock:
            if not job.files:
                return
            file = job.files.pop()
            job.lock.release()
            digest = sha256_of(file)
            job.lock.acquire()
            job.report += f"{file} {digest}\\n"
""",
            "proved",
            "",
        ),
    ],
    "not-your-lock": [
        (
            "numbers instead of the fee",
            """\
def pay(account, amount):
    fee(amount)
    account.balance -= 11 if amount == 10 else 62
""",
            "wrong",
            "That needs no second thread",
        ),
        (
            "counts in a global",
            """\
spent = 0


def pay(account, amount):
    global spent
    cost = amount + fee(amount)
    spent += cost
    account.balance = 100 - spent
""",
            "wrong",
            "That needs no second thread",
        ),
        (
            "waits for a second payer",
            """\
both = threading.Barrier(2)


def pay(account, amount):
    cost = amount + fee(amount)
    both.wait()
    account.balance -= cost
""",
            "wrong",
            "it waits for something that nobody brings",
        ),
        (
            "a lock that only one of the two lines takes",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    left = account.balance
    with account.lock:
        account.balance = left - cost
""",
            "wrong",
            "you take or give back a lock",
        ),
        (
            "a flag that only the GIL makes a lock",
            """\
busy = False


def pay(account, amount):
    global busy
    cost = amount + fee(amount)
    while busy:
        pass
    busy = True
    account.balance -= cost
    busy = False
""",
            "proved",
            "",
        ),
        (
            "only the read is locked, and the lock given back",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    with account.lock:
        left = account.balance
    account.balance = left - cost
""",
            "wrong",
            "you take or give back a lock",
        ),
        (
            "appends to a list between reading and writing",
            """\
log = []


def pay(account, amount):
    cost = amount + fee(amount)
    left = account.balance
    log.append(cost)
    account.balance = left - cost
""",
            "wrong",
            "something is called",
        ),
        (
            "a property between reading and writing",
            """\
class Rate:
    @property
    def now(self):
        return 1


rate = Rate()


def pay(account, amount):
    cost = amount + fee(amount)
    left = account.balance
    rate.now
    account.balance = left - cost
""",
            "wrong",
            "something is called",
        ),
        (
            "sets a switch interval",
            """\
import sys


def pay(account, amount):
    sys.setswitchinterval(1)
    account.balance -= amount + fee(amount)
""",
            "cannot check",
            "sys.setswitchinterval",
        ),
    ],
}
