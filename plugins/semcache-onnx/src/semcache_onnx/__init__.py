"""Sentence embeddings from ONNX files, computed on this machine: the ``onnx`` embedder of semcache."""
