/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EXO_CHARDEV_H
#define EXO_CHARDEV_H

int exo_chardev_init(void);
void exo_chardev_exit(void);

#endif /* EXO_CHARDEV_H */
