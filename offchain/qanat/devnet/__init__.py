"""A whole network on one machine: Anvil, one process per node, a clock, and the scenario of the demo.

Everything here starts real processes and stops them again, also when it is interrupted. Nothing else imports this
package.
"""
