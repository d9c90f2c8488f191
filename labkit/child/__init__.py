"""What runs inside an experiment's process. Rule: standard library only, any Python from 3.10 on."""

import os

__all__ = ["ROOT"]

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # the folder that labkit lies in
