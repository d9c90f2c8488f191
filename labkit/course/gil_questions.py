"""The GIL: the three questions at the end of the lesson, with a reason for every option."""

from __future__ import annotations

from labkit.course.lesson import Option, Question

__all__ = ["QUIZ"]

QUIZ: tuple[Question, ...] = (
    Question(
        id="who-lets-the-gil-go",
        text=(
            "On a build with a GIL, two threads each sort a long list, and two others each hash a large file. Which "
            "pair can use two cores?"
        ),
        options=(
            Option(
                "Both pairs: sorting and hashing are written in C.",
                "The GIL is not only for Python code. C code holds it as well, until it gives it away by itself.",
            ),
            Option(
                "The two that hash.",
                "Hashing works on plain bytes, which nobody changes, and gives the GIL away. Sorting compares Python "
                "objects, and keeps it.",
                right=True,
            ),
            Option(
                "The two that sort.",
                "Sorting compares Python objects, which needs the GIL to the end. Two such threads take turns.",
            ),
            Option(
                "Neither: two threads of one process share one core.",
                "The system gives each thread a core if one is free. What they share is the GIL, and it can be given "
                "away.",
            ),
        ),
    ),
    Question(
        id="what-subinterpreters-share",
        text="A program moves its workers from threads to subinterpreters, each with a GIL of its own. What changes?",
        options=(
            Option(
                "They can compute at the same time, but a list of one is not there for another.",
                "Each has its own GIL, and its own modules and objects. What goes over is copied, which costs more the "
                "larger it is.",
                right=True,
            ),
            Option(
                "They can compute at the same time, and share their objects as threads do.",
                "The first half is right. Objects are what a GIL guards, so each interpreter has its own.",
            ),
            Option(
                "A crash in C code ends only the one in which it happens, as with processes.",
                "They are parts of one process. What kills the process kills all of them.",
            ),
            Option(
                "Nothing, until the switch interval is made shorter.",
                "The interval says how long a thread waits before it asks for a GIL. Who has one of his own need not "
                "ask.",
            ),
        ),
    ),
    Question(
        id="which-way-for-this-work",
        text=(
            "A job runs Python code on a machine with four free cores. You measure: one worker asks for one core, four "
            "threads for one, four processes for four. Each message costs more time than a task takes, however "
            "short the message. What now?"
        ),
        options=(
            Option(
                "Four processes, one task at a time: they ask for four cores.",
                "They would be busy, and with the wrong thing: most of the time goes into sending tasks over.",
            ),
            Option(
                "More threads, until four cores are used.",
                "Four of them asked for one core already: they take turns with the GIL, and more only wait longer.",
            ),
            Option(
                "Processes, with many tasks in each message.",
                "More than one core is to be had only there, and larger messages make the sending cheap beside the "
                "work.",
                right=True,
            ),
        ),
    ),
)
