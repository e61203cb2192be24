"""The embedding model bge-small-en-v1.5 as files, ``model.onnx`` and ``tokenizer.json``; there is nothing to import."""
