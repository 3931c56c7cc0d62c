"""One HTTP exchange, over by its deadline, with every failure in words.

messages are the values that vendors and transport share; transport sends, over connections that are kept alive;
dialing connects, answers says where an answer ends, faults why there is none.
"""
