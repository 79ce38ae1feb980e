"""A plan in the words of other tools: a TRL + PEFT script, and the files that TRL, LLaMA-Factory and axolotl read."""

from course_lib.exports.configs import to_axolotl, to_llamafactory, to_trl_yaml
from course_lib.exports.script import to_script

__all__ = ["to_axolotl", "to_llamafactory", "to_script", "to_trl_yaml"]
