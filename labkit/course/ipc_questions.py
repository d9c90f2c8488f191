"""IPC: the three questions at the end of the lesson, with a reason for every option."""

from __future__ import annotations

from labkit.course.lesson import Option, Question

__all__ = ["QUIZ"]

QUIZ: tuple[Question, ...] = (
    Question(
        id="what-grows-with-size",
        text=(
            "A process sends dicts to another one through a pipe. Each message grows from a few bytes to as much as "
            "the pipe holds at once. What part of its cost grows?"
        ),
        options=(
            Option(
                "Each part of it: all that happens on the way happens to every byte.",
                "Waking the other side costs the same, whatever it is woken for, and it is woken once. What grows is "
                "what touches each byte.",
            ),
            Option(
                "Waking the other process, since there is more to wake it for.",
                "A wake-up costs the same for any message. It takes several only where a message is more than the pipe "
                "holds.",
            ),
            Option(
                "Pickling and copying.",
                "Every dict becomes bytes and is made anew, and every byte goes into the kernel and out again. Calls "
                "and wake-ups are what a small message pays for.",
                right=True,
            ),
            Option(
                "None, as long as the pipe holds it.",
                "Nobody has to wait for room then. But bytes that fit in are pickled and copied all the same.",
            ),
        ),
    ),
    Question(
        id="why-chatty-is-slow",
        text=(
            "A client asks a service for one item at a time. The page is slow, and no core is ever busy for long. "
            "What mends it?"
        ),
        options=(
            Option(
                "A faster machine: each answer is computed sooner.",
                "There is little to compute. The time goes by while one side waits to be woken by the other.",
            ),
            Option(
                "Asking for many items in each message.",
                "Each round trip is a wait, one after the other. With fewer of them there is less waiting, and what "
                "every message pays, whatever its size, is paid less often.",
                right=True,
            ),
            Option(
                "Shared memory for the items, and one message for each as before.",
                "That saves the copying, which is little here. Every item still waits for its message and its answer.",
            ),
        ),
    ),
    Question(
        id="what-shared-memory-gives",
        text="Two processes put what they exchange into shared memory, to be used where it lies. What do they get?",
        options=(
            Option(
                "Large blocks without a copy. When they may be read, and what the bytes mean, is left to them.",
                "It is memory, and nothing more: the program says when a block is complete and what its bytes mean. "
                "That is worth it where blocks are large.",
                right=True,
            ),
            Option(
                "What threads have: each sees the other's lists and dicts, and changes to them, without a message.",
                "They share bytes. A list is an object of one process, full of addresses that mean nothing in the "
                "other: it has to be written as bytes first.",
            ),
            Option(
                "Safe access: a reader waits until the writer is done with the block.",
                "Nobody waits unless the program makes them, with a lock or a message. Without it a reader sees half "
                "of one block and half of the next.",
            ),
            Option(
                "Cheaper messages of any size.",
                "A short word that something lies there costs a message by itself. For a few bytes nothing is saved.",
            ),
        ),
    ),
)
