/* SPDX-License-Identifier: GPL-2.0-only */
/* The few kernel names that pure code needs when its tests build it in user space. */
#ifndef EXO_HOST_TYPES_H
#define EXO_HOST_TYPES_H

#include <sys/cdefs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;

#endif /* EXO_HOST_TYPES_H */
