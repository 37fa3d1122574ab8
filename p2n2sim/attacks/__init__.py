"""What an adversary does with what it saw: pure functions on arrays, always trained afresh.

`recovery` reconstructs inputs, `labels` infers labels, `properties` a property of the inputs, `membership`
who was trained on. Each is judged on held-out targets, beside floors, by the strongest of its attackers.
"""
