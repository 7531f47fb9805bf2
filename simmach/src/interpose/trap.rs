//! System calls that bypass the C library, such as those of inline assembly.
//!
//! On x86-64, Linux 5.11 and newer can hand such calls back to the program, which it calls "syscall user dispatch": while a
//! thread has it on, each system call instruction outside one range of addresses raises `SIGSYS` and is not executed. That
//! range is the code of the C library, whose functions are interposed. The signal's handler answers the call as
//! [`syscall`](crate::interpose::linux::syscall) does.
//!
//! A call through the C library costs a few nanoseconds more while dispatch is on, a trapped call a few microseconds. On other
//! processors, on older kernels and under Valgrind, such calls reach the kernel.

use std::marker::PhantomData;

/// Traps system calls of this thread that bypass the C library, until it is dropped.
#[derive(Debug)]
pub(crate) struct Trap(PhantomData<*const ()>);

impl Trap {
    pub(crate) fn set() -> Self {
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            target_arch = "x86_64",
            target_pointer_width = "64"
        ))]
        dispatch::turn_on();
        Self(PhantomData)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            target_arch = "x86_64",
            target_pointer_width = "64"
        ))]
        dispatch::turn_off();
    }
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    target_pointer_width = "64"
))]
mod dispatch {
    use std::cell::Cell;
    use std::ffi::{c_int, c_long, c_void};
    use std::mem;
    use std::ops::Range;
    use std::ptr;
    use std::sync::OnceLock;

    use crate::interpose::identity::GETAUXVAL;
    use crate::interpose::linux::{SYSCALL, errno, pass_on, set_errno, syscall};
    use crate::interpose::signals::SIGACTION;

    // Constants of `linux/prctl.h` and `asm-generic/siginfo.h`.
    const PR_SET_SYSCALL_USER_DISPATCH: c_long = 59;
    const PR_SYS_DISPATCH_OFF: c_long = 0;
    const PR_SYS_DISPATCH_ON: c_long = 1;
    const SYS_USER_DISPATCH: c_int = 2;

    thread_local! {
        /// Whether this thread can receive `SIGSYS`.
        static IS_READY: Cell<bool> = const { Cell::new(false) };
    }

    /// The code whose system calls are not calls of the program.
    struct Exempt {
        c_library: Range<usize>,
        /// The dynamic linker, and the functions that the kernel maps into each process.
        others: [Range<usize>; 2],
    }

    /// Finds the exempt code and installs the handler. `None` if that fails.
    fn exempt() -> Option<&'static Exempt> {
        static EXEMPT: OnceLock<Option<Exempt>> = OnceLock::new();
        let find = || {
            if is_under_valgrind() {
                return None;
            }
            let c_library = code_around(SYSCALL.function()? as usize)?;
            let getauxval = GETAUXVAL.function()?;
            // SAFETY: `getauxval` has no preconditions.
            let auxiliary = |name| unsafe { getauxval(name) } as usize;
            let others = [libc::AT_BASE, libc::AT_SYSINFO_EHDR].map(auxiliary);
            let others = others.map(|address| code_around(address).unwrap_or(0..0));
            install_handler().then_some(Exempt { c_library, others })
        };
        EXEMPT.get_or_init(find).as_ref()
    }

    /// Whether Valgrind executes the program. It would pass the request for dispatch to the kernel, which would then trap
    /// Valgrind's own system calls.
    fn is_under_valgrind() -> bool {
        // `RUNNING_ON_VALGRIND` of `valgrind.h`, in an array of a request and its five arguments.
        let request: [u64; 6] = [0x1001, 0, 0, 0, 0, 0];
        let mut answer = 0u64;
        // SAFETY: on a processor these instructions rotate a register by 128 bits in all and exchange another with itself, which
        // changes only flags. Valgrind recognizes them, and puts its answer to the request into `rdx`.
        unsafe {
            std::arch::asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") request.as_ptr(),
                inout("rdx") answer,
                inout("rdi") 0 => _,
                options(nostack),
            );
        }
        answer != 0
    }

    fn install_handler() -> bool {
        let Some(sigaction) = SIGACTION.function() else { return false };
        // SAFETY: the type consists of integers and an optional function, for which zeros are valid.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = answer as *const () as usize;
        // Calls may nest, since an answer may run the program's wakers. The handler needs more room than an alternate stack
        // has.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        // SAFETY: the action is valid, and the handler has the type that `SA_SIGINFO` asks for.
        unsafe { sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) == 0 }
    }

    pub(super) fn turn_on() {
        let Some(exempt) = exempt() else { return };
        if !IS_READY.replace(true) {
            // SAFETY: the set is initialised before it is used. A signal that is blocked when it is raised would end the
            // process.
            unsafe {
                let mut signals = mem::zeroed();
                libc::sigemptyset(&raw mut signals);
                libc::sigaddset(&raw mut signals, libc::SIGSYS);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const signals, ptr::null_mut());
            }
        }
        let code = &exempt.c_library;
        set([PR_SYS_DISPATCH_ON, code.start as c_long, code.len() as c_long]);
    }

    pub(super) fn turn_off() {
        set([PR_SYS_DISPATCH_OFF, 0, 0]);
    }

    /// Does nothing if the kernel does not support it.
    fn set([mode, start, length]: [c_long; 3]) {
        let before = errno();
        let arguments = [PR_SET_SYSCALL_USER_DISPATCH, mode, start, length, 0, 0];
        // SAFETY: the call changes only how this thread's system calls are handled, and `answer` handles them.
        unsafe { pass_on(libc::SYS_prctl, arguments) };
        set_errno(before);
    }

    /// Handles `SIGSYS`: makes the call for which it was raised, and puts its result where the kernel would.
    ///
    /// The signal interrupts the thread at a system call instruction, so this may do whatever a function called there may.
    extern "C" fn answer(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        let before = errno();
        // SAFETY: the kernel passes valid pointers to a handler with `SA_SIGINFO`, and nothing else uses them.
        let (info, registers) =
            unsafe { (&*info, &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
        if info.si_code != SYS_USER_DISPATCH {
            // Another filter of system calls raised it, and expects the program to end.
            if let Some(sigaction) = SIGACTION.function() {
                // SAFETY: zeros are a valid action, `SIG_DFL`. Both functions may be called in a handler.
                unsafe {
                    let default = mem::zeroed();
                    sigaction(signal, &raw const default, ptr::null_mut());
                    libc::raise(signal);
                }
            }
            return;
        }
        let number = registers[libc::REG_RAX as usize];
        let arguments = [
            libc::REG_RDI,
            libc::REG_RSI,
            libc::REG_RDX,
            libc::REG_R10,
            libc::REG_R8,
            libc::REG_R9,
        ]
        .map(|register| registers[register as usize]);
        if uses_its_stack(number, arguments[0]) {
            // It is repeated where it was made, by an instruction of two bytes.
            turn_off();
            registers[libc::REG_RIP as usize] -= 2;
            return;
        }
        let [a, b, c, d, e, f] = arguments;
        let address = registers[libc::REG_RIP as usize] as usize;
        let is_exempt =
            exempt().is_some_and(|exempt| exempt.others.iter().any(|code| code.contains(&address)));
        // SAFETY: the arguments are those of the program's call.
        let result = unsafe {
            if is_exempt { pass_on(number, arguments) } else { syscall(number, a, b, c, d, e, f) }
        };
        registers[libc::REG_RAX as usize] =
            if result == -1 { -c_long::from(errno()) } else { result };
        set_errno(before);
    }

    /// Whether a call depends on the stack from which it is made: the return from a signal handler, and calls after which a new
    /// thread or process goes on. Those that a run refuses are answered.
    fn uses_its_stack(number: c_long, first: c_long) -> bool {
        match number {
            libc::SYS_rt_sigreturn => true,
            libc::SYS_clone | libc::SYS_clone3 | libc::SYS_fork | libc::SYS_vfork => {
                !crate::interpose::processes::is_refused(number, first)
            }
            _ => false,
        }
    }

    /// Returns the executable part of the program or library that contains an address.
    fn code_around(address: usize) -> Option<Range<usize>> {
        struct Search {
            address: usize,
            found: Option<Range<usize>>,
        }
        unsafe extern "C" fn visit(
            object: *mut libc::dl_phdr_info,
            _size: usize,
            search: *mut c_void,
        ) -> c_int {
            // SAFETY: `dl_iterate_phdr` passes a valid object, and the pointer to the search that was given to it.
            let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
            // SAFETY: `dlpi_phdr` points to `dlpi_phnum` headers, which are valid for reads during the callback.
            let headers =
                unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
            let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
            let part = |header: &libc::Elf64_Phdr| {
                let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                start..start.wrapping_add(header.p_memsz as usize)
            };
            if !loaded.clone().any(|header| part(header).contains(&search.address)) {
                return 0;
            }
            search.found = loaded.clone().find(|header| header.p_flags & libc::PF_X != 0).map(part);
            1
        }
        let mut search = Search { address, found: None };
        // SAFETY: the callback is called only before this call returns, with a pointer that is valid until then.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        search.found
    }
}
