"""The ratios of the inference engine, each between two ways of doing the same work over the same weights.

A file each for what is compared; `run` puts them together, `page` draws them. Nothing here needs a simulator, an agent
or a recording, so that it also runs on a machine with a GPU and little else: `python -m agents.bench --device cuda`.
"""
