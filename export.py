#!/usr/bin/env python3
"""A run's networks for other programs: ONNX, torch.export or safetensors, with a model card.

Each file is checked against the run on 1,000 inputs before it is left in the directory.

example: ./export.py --onnx
         ./export.py --feature-size 8 --onnx --safetensors --output my-model
"""

from mnist.commands.arguments import tool_command
from mnist.commands.flags import ExportFlags


def run(flags: ExportFlags) -> None:
    from mnist.commands.export import export  # late: torch takes a second to import

    export(flags)


if __name__ == "__main__":
    tool_command(__doc__, ExportFlags, run)
