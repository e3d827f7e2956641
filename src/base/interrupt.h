/*
 * interrupt.h - SIGINT and SIGTERM as a flag that long work looks at.
 */
#ifndef SW_BASE_INTERRUPT_H
#define SW_BASE_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

/* Catch SIGINT and SIGTERM (without SA_RESTART), ignore SIGPIPE.  Call from main before threads start. */
void sw_interrupt_catch(void);

/* The signal caught, or 0.  Async-signal-safe, thread-safe. */
int sw_interrupt_signal(void);

/* As if SIGTERM had come: whatever looks at the flag ends soon. */
void sw_interrupt_request(void);

/*
 * Take the caught signal, so that cleaning up may talk to servers again; sw_interrupt_die still knows it, and
 * another signal interrupts again.
 */
void sw_interrupt_take(void);

/* SW_OK, or SW_SYSTEM "stopped by SIGTERM" when a signal was caught. */
sw_rc sw_interrupt_check(struct sw_error *err);

/*
 * For the calling thread alone: as if a signal had come, as soon as *given_up is true (borrowed; NULL: no more).  What it
 * does ends within about a second then.
 */
void sw_interrupt_thread(const atomic_bool *given_up);

/* Give the signal its default action and raise it again: a caller of ours must see the signal. */
void sw_interrupt_die(void);

#endif
