//! The instruction sets, and which one this process uses.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::named::{Named, UnknownName};

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever the compilation target has; matrix products by the crate matrixmultiply.
    Portable,
    /// NEON, which all aarch64 processors have.
    Neon,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512: `f`, `bw`, `dq` and `vl`, and for bf16 products `bf16` where present.
    Avx512,
    /// AVX-512 with its bf16 instructions, and AMX's tiles for bf16 products.
    Amx,
}

impl Named for Isa {
    /// From the most basic to the best.
    const ALL: &'static [Self] = &[Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Amx];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }
}

impl Isa {
    /// The environment variable that names the best instruction set to use.
    pub const VARIABLE: &'static str = "SIMCSE_ISA";

    /// The best instruction set of this processor that the environment allows. Different
    /// instruction sets give results that differ in their last bits.
    ///
    /// A name that [`Isa::allowed`] refuses sets no limit here; a program should check it first and
    /// tell its user.
    pub fn detected() -> Self {
        static ISA: OnceLock<Isa> = OnceLock::new();
        *ISA.get_or_init(|| {
            let best = Self::allowed().unwrap_or(Self::Amx);
            Self::ALL.iter().copied().rfind(|isa| *isa <= best && isa.is_present()).unwrap_or(Self::Portable)
        })
    }

    /// The best instruction set that `SIMCSE_ISA` allows; without the variable, the best there is.
    ///
    /// # Errors
    /// [`UnknownName`] if the variable does not name an instruction set.
    pub fn allowed() -> Result<Self, UnknownName> {
        match std::env::var_os(Self::VARIABLE) {
            Some(name) => Self::from_name(&name.to_string_lossy()),
            None => Ok(Self::Amx),
        }
    }

    /// The number of f32 values in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::Neon | Self::Avx2 => 8,
            Self::Avx512 | Self::Amx => 16,
        }
    }

    fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Isa::Portable => true,
            Isa::Neon => false,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => {
                Isa::Avx2.is_present()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Isa::Amx => Isa::Avx512.is_present() && is_x86_feature_detected!("avx512bf16") && has_amx(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Isa::Portable || self == Isa::Neon && cfg!(target_arch = "aarch64");
    }
}

/// Whether this processor has AMX's bf16 tiles, and the system lets this process use them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_amx() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & (BF16 | TILE) != BF16 | TILE {
        return false;
    }
    // SAFETY: the call asks Linux to save and restore tiles for this process, and changes nothing
    // else. A kernel that does not know the request returns an error.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// AMX needs the system's permission, which this crate can request on Linux only.
#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn has_amx() -> bool {
    false
}

/// Whether this processor multiplies bf16 with the detected instruction set.
pub(crate) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return match Isa::detected() {
        Isa::Amx => true,
        Isa::Avx512 => is_x86_feature_detected!("avx512bf16"),
        _ => false,
    };
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}
