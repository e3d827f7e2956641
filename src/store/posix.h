/*
 * posix.h - a repository in a directory.
 *
 * An object is a file below the root, its name the path.  It is written under a temporary
 * name ("tmp~…", which no object can have), made durable, then linked to its name, which fails if
 * that is taken.  No symbolic link below the root is followed.
 */
#ifndef SW_STORE_POSIX_H
#define SW_STORE_POSIX_H

#include "store/store.h"

/*
 * root: an absolute path.  It is looked at in each call: a missing root is SW_CONFIG
 * and never "not found"; put makes it if its parent is there.  SW_OK, SW_CONFIG, SW_SYSTEM.
 */
sw_rc sw_posix_open(const char *root, struct sw_store **ret_store, struct sw_error *err);

#endif
