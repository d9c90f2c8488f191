"""Lost updates: the three questions at the end of the lesson, with a reason for every option."""

from __future__ import annotations

from labkit.course.lesson import Option, Question

__all__ = ["QUIZ"]

QUIZ: tuple[Question, ...] = (
    Question(
        id="which-two-steps",
        text="Two threads run `counter += 1`. Which two steps must not be parted?",
        options=(
            Option(
                "Writing the counter, and the next thread's reading of it.",
                "Nothing is lost there: the next thread reads what was written.",
            ),
            Option(
                "Reading the counter, and writing it back.",
                "What is written was worked out from what was read. Another write in between is overwritten unseen.",
                right=True,
            ),
            Option(
                "Taking the lock, and giving it back.",
                "These two stand around the steps that matter, and are parted on purpose: by those steps.",
            ),
            Option(
                "Starting the thread, and joining it.",
                "Between these lies all that the thread does. Other threads may run there without harm.",
            ),
        ),
    ),
    Question(
        id="what-the-gil-is-worth",
        text=(
            "With a GIL, since Python 3.10, a plain `counter += 1` is not seen to lose anything. What may you build "
            "on that?"
        ),
        options=(
            Option(
                "That the language makes `+=` one step.",
                "It does not: it reads, adds and writes. A free-threaded build of the same version loses "
                "updates with the same line.",
            ),
            Option(
                "That it stays so as long as the switch interval is not shortened.",
                "The interval says how long a waiting thread waits before it asks for the GIL. Where threads "
                "may switch is another matter.",
            ),
            Option(
                "Nothing: this interpreter happens not to switch threads inside that statement.",
                "The race is allowed, only not reached. A call between read and write, or another build, reaches it.",
                right=True,
            ),
        ),
    ),
    Question(
        id="mended-at-what-price",
        text="A counter loses updates. Which remedy keeps every one, at the lowest price?",
        options=(
            Option(
                "Processes in place of threads, on the same shared memory.",
                "Sharing makes the race, not the thread. Processes that share memory lose updates as well, "
                "without a lock.",
            ),
            Option(
                "A `print` between read and write, to see what happens.",
                "It moves the moment at which threads meet. The bug comes or goes, and stays in the program.",
            ),
            Option(
                "One lock around the whole request, the slow network call included.",
                "Nothing is lost, and nothing overlaps either: every thread queues for the slow part.",
            ),
            Option(
                "One lock around read and write, and nothing slow inside.",
                "The two become one step for all who take that lock, and the slow part still overlaps.",
                right=True,
            ),
        ),
    ),
)
