;; A layer of a perceptron, of twelve columns at once: out[j] = bias[j] + Σ_k weights[j, k] in[k].
;; weights [J, K], bias [J], in [K, 12], out [J, 12], all float32, by their addresses.
(module
  (memory (import "explorer" "memory") 1)
  (func (export "layer")
    (param $weights i32) (param $bias i32) (param $in i32) (param $out i32)
    (param $K i32) (param $J i32)
    (local $w v128) (local $a v128) (local $b v128) (local $c v128) (local $i i32) (local $end i32)
    (local.set $end (i32.add (local.get $in) (i32.mul (local.get $K) (i32.const 48))))
    (loop $rows
      (local.set $a (v128.load32_splat (local.get $bias)))
      (local.set $b (local.get $a))
      (local.set $c (local.get $a))
      (local.set $i (local.get $in))
      (loop $sum
        (local.set $w (v128.load32_splat (local.get $weights)))
        (local.set $a
          (f32x4.add (local.get $a) (f32x4.mul (local.get $w) (v128.load (local.get $i)))))
        (local.set $b
          (f32x4.add (local.get $b) (f32x4.mul (local.get $w) (v128.load offset=16 (local.get $i)))))
        (local.set $c
          (f32x4.add (local.get $c) (f32x4.mul (local.get $w) (v128.load offset=32 (local.get $i)))))
        (local.set $weights (i32.add (local.get $weights) (i32.const 4)))
        (local.set $i (i32.add (local.get $i) (i32.const 48)))
        (br_if $sum (i32.lt_u (local.get $i) (local.get $end))))
      (v128.store (local.get $out) (local.get $a))
      (v128.store offset=16 (local.get $out) (local.get $b))
      (v128.store offset=32 (local.get $out) (local.get $c))
      (local.set $out (i32.add (local.get $out) (i32.const 48)))
      (local.set $bias (i32.add (local.get $bias) (i32.const 4)))
      (br_if $rows (local.tee $J (i32.sub (local.get $J) (i32.const 1)))))))
