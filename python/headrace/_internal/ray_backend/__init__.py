"""Ray Core as a backend: the driver's connection to a cluster, and what its workers run.

`connect` finds the cluster. `bridge` is the driver's side: it turns the engine's orders into Ray
tasks and actors, and what becomes of them into events. `remote` is the workers' side. The engine
calls them through `runtime/bridge`; nothing here decides what runs when. `asking` is what users say
about where it runs, `places` what that means to Ray, `watch` the eye on a cluster that changes.
"""
