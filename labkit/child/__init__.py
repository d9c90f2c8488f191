"""What runs inside an experiment's process. Rule: standard library only, any Python from 3.10 on."""
