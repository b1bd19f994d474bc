"""How fast are we, beside what one could use instead, in the same run on the same machine?"""
