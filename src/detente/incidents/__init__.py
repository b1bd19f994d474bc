"""What happened, what went wrong, will it happen again, and what do we do then?"""
