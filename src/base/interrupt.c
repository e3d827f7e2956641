#include "base/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t caught, taken;

static void
on_signal(int sig)
{
	caught = sig;
}

void
sw_interrupt_catch(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

int
sw_interrupt_signal(void)
{
	return caught;
}

void
sw_interrupt_request(void)
{
	if (caught == 0)
		caught = SIGTERM;
}

void
sw_interrupt_take(void)
{
	if (caught != 0)
		taken = caught;
	caught = 0;
}

sw_rc
sw_interrupt_check(struct sw_error *err)
{
	if (caught == 0)
		return SW_OK;
	return sw_fail(err, SW_SYSTEM, "stopped by SIG%s", sigabbrev_np(caught));
}

void
sw_interrupt_die(void)
{
	sw_interrupt_take();
	if (taken == 0)
		return;
	signal(taken, SIG_DFL);
	raise(taken);
}
