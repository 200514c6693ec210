"""Other ways to sell a seat once, each behind the HTTP layer of `bench.rig.bare`.

Each is correct and as good as its method allows: one round trip where one will do, seats taken in
one order so that nobody waits in a circle, bounded pools. `bench.baselines.fight` checks them: the
same fight finds the double sale of one that leaves its protection out.
"""
