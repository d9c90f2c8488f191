"""An execution that is given up unwinds through the `with` blocks of the student: what they raise then is no bug."""

import pytest

from labkit.interleave.explore import explore


class Book:
    def __init__(self):
        import threading

        self.lock, self.lines, self.count = threading.Lock(), [], 0


class Strict:
    """Leaves with an error of its own wherever it is left by an error."""

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is not None:
            raise ValueError("left by an error")


def reads(book):
    with book.lock:
        pass


def gives_the_lock_back_for_a_while(book):
    with book.lock:
        book.lock.release()
        book.count = 1  # the first write of this name: the program is rewritten, and explored anew
        book.lock.acquire()


def catches_what_its_lock_says(book):
    try:
        gives_the_lock_back_for_a_while(book)
    except RuntimeError:
        book.lines.append("never")


def is_strict(book):
    with Strict():
        book.count = 1


def ties_a_circle(book):
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__context__ = second, first
    book.count = 1
    raise first


@pytest.mark.parametrize("writes", [gives_the_lock_back_for_a_while, catches_what_its_lock_says, is_strict])
def test_what_is_raised_while_an_execution_is_given_up_is_no_bug(writes):
    result = explore([writes, reads], setup=Book, check=lambda book: (book.count, book.lines) == (1, []))
    assert (result.verdict, result.kind) == ("proved", None), result.reason


def test_what_is_raised_while_a_deadlock_is_ended_is_not_shown_as_its_error():
    def waits_for_itself(book):
        with Strict(), book.lock, book.lock:
            pass

    result = explore([waits_for_itself, reads], setup=Book)
    assert (result.kind, result.error) == ("deadlock", "")


def test_what_cannot_be_checked_is_not_hidden_by_an_error():
    def asks(book):
        with Strict():
            book.count = input()

    assert "calls input" in explore([asks, reads], setup=Book).reason


def test_errors_of_ones_own_are_still_found():
    def fails_in_turn(book):
        try:
            raise KeyError("first")  # noqa: TRY301 - what is tested
        except KeyError:
            with book.lock:
                book.count += 1
            raise ValueError("second")  # noqa: B904 - what is tested

    def has_an_error_in_its_strict_block(book):
        with Strict():
            book.lines.append(1 // book.count)

    for fails in (fails_in_turn, has_an_error_in_its_strict_block, ties_a_circle):
        result = explore([fails, reads], setup=Book)
        assert (result.kind, "ValueError" in result.error) == ("exception", True), result.reason
