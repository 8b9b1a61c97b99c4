#!/bin/bash
# SPDX-License-Identifier: MIT
# Succeeds, but the kernel log has a fault in it.
echo "WARNING: CPU: 0 PID: 1 at self-test" >/dev/kmsg
