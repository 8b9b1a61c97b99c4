#!/bin/bash
# SPDX-License-Identifier: MIT
# Succeeds, but leaves something mounted.
mount -t tmpfs left /mnt
