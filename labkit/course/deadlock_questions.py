"""Deadlock: the three questions at the end of the lesson, with a reason for every option."""

from __future__ import annotations

from labkit.course.lesson import Option, Question

__all__ = ["QUIZ"]

QUIZ: tuple[Question, ...] = (
    Question(
        id="what-a-deadlock-needs",
        text="What must be there before threads can deadlock?",
        options=(
            Option(
                "At least two locks, taken in opposite order.",
                "One is enough, if its holder waits for something else that only a thread can bring who needs "
                "that lock.",
            ),
            Option(
                "A circle, in which each waits for what the next one holds.",
                "Exclusive things, held while waiting, never taken away, in a circle: without any one of the "
                "four there is no deadlock.",
                right=True,
            ),
            Option(
                "A busy machine, on which threads seldom run.",
                "Load makes it more likely that threads meet in the wrong moment. The circle is in the code.",
            ),
            Option(
                "More threads than the machine has cores.",
                "Two threads on one core can do it, and two threads on many cores as well.",
            ),
        ),
    ),
    Question(
        id="what-the-monitor-shows",
        text="A service stands still. What speaks for a deadlock, and not for overload?",
        options=(
            Option(
                "The CPU is at its limit, on every core.",
                "Threads that wait for a lock use no CPU. A busy standstill is overload, or a livelock.",
            ),
            Option(
                "An exception of some thread stands in the log.",
                "In a deadlock nothing fails. No thread gets far enough to raise or to log.",
            ),
            Option(
                "CPU near nothing, and a stack dump with threads that stand at the `with` line of a lock.",
                "They sleep in the lock, and log nothing. The dump names the lines where they wait, and so the circle.",
                right=True,
            ),
        ),
    ),
    Question(
        id="which-remedy-breaks-the-circle",
        text="Which remedy makes a circle of locks impossible?",
        options=(
            Option(
                "A time-out on every lock, then try again.",
                "The circle still closes. The time-out turns it into waiting, or into a livelock in which all "
                "give way for ever.",
            ),
            Option(
                "An `RLock` in place of every lock.",
                "It lets a thread take again what it holds itself. Two threads with two locks still wait for "
                "each other.",
            ),
            Option(
                "More runs of the tests.",
                "In tests threads rarely meet in the short moment that closes the circle. That they pass proves "
                "little.",
            ),
            Option(
                "One order for all locks, everywhere.",
                "Who waits then holds only earlier locks, so the chain of waiting has an end.",
                right=True,
            ),
        ),
    ),
)
