"""Caches for SmartProducer and its monitors: memory, Redis, and memory in front of Redis.

base.py          the Protocol, and who may wait for what
memory.py        DefaultLocalCache
redis.py         DefaultRemoteCache, over store.py (Redis itself, its failures) and background.py (without waiting)
hybrid.py        DefaultHybridCache
factory.py       CacheFactory: which of them a CacheConfig means
"""
