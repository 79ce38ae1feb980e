"""A plan in the words of other tools: scripts for TRL + PEFT and for Unsloth, files for TRL, LLaMA-Factory and axolotl."""

from course_lib.exports.axolotl import to_axolotl
from course_lib.exports.llamafactory import to_llamafactory
from course_lib.exports.script import to_script
from course_lib.exports.trl_yaml import to_trl_yaml
from course_lib.exports.unsloth import to_unsloth

__all__ = ["to_axolotl", "to_llamafactory", "to_script", "to_trl_yaml", "to_unsloth"]
