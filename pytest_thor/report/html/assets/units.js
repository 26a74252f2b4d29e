// Quantities as people read them: what pytest_thor/units.py does, to the letter (a test holds the two together).
const units = (() => {
  const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];
  const LAST_DECIMAL = { nat: 6 };

  // Rounds a tie to the even digit, as Python does; toFixed goes up.
  function fixed(value, decimals) {
    const size = Math.abs(value);
    if (size >= 1e21) return BigInt(value).toString();
    let text = size.toFixed(decimals);
    const exact = size.toFixed(Math.min(100, decimals + 60));
    const rest = exact.slice(exact.indexOf(".") + 1 + decimals);
    if (/^50*$/.test(rest)) {
      const below = exact.slice(0, exact.length - rest.length).replace(/\.$/, "");
      if (Number(below.at(-1)) % 2 === 0) text = below;
    }
    return (value < 0 || Object.is(value, -0) ? "-" : "") + text;
  }

  function significant(value, digits = 4) {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    if (value === 0) return "0";
    const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
    return decimals <= 0 ? fixed(value, 0).replace(/^-0$/, "0") : fixed(value, Math.min(decimals, 100));
  }

  function bytes(value) {
    const power = value ? Math.min(Math.max(Math.floor(Math.trunc(Math.log2(Math.abs(value))) / 10), 0), 4) : 0;
    return power === 0 ? `${fixed(value, 0)} B` : `${fixed(value / 1024 ** power, 2)} ${BINARY[power]}`;
  }

  function quantity(value, unit) {
    if (unit === "B") return bytes(value);
    const text = significant(value);
    const last = LAST_DECIMAL[unit];
    const tooFine = last !== undefined && (text.split(".")[1] ?? "").length > last;
    return `${tooFine ? fixed(value, last) : text} ${unit}`;
  }

  function percent(fraction, signed = false) {
    const value = fraction * 100;
    const decimals = Math.abs(value) >= 0.005 && Math.abs(value) < 0.995 ? 2 : 1;
    const plus = signed && value >= 0 && !Object.is(value, -0) ? "+" : "";
    return `${plus}${fixed(value, decimals)} %`.replace("-0.0 %", "0.0 %").replace("+0.0 %", "0.0 %");
  }

  function duration(seconds) {
    if (seconds < 10) return `${fixed(seconds, 1)} s`;
    const whole = Number(fixed(seconds, 0));
    if (whole < 60) return `${whole} s`;
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }

  // A figure of the report: a number, the name of one that is not finite, or null where it is not known.
  const figure = (value, unit) =>
    value === null || value === undefined ? "" : isNumber(value) ? quantity(value, unit) : `${value} ${unit}`;
  const share = (value, signed = false) =>
    value === null || value === undefined ? "" : isNumber(value) ? percent(value, signed) : String(value);
  const interval = (low, high) =>
    isNumber(low) && isNumber(high) ? `${percent(low, true).replace(/ %$/, "")} to ${percent(high, true)}` : "";

  const tick = (value) => String(Number(value.toPrecision(3)));

  return { significant, bytes, tick, quantity, percent, duration, figure, share, interval };
})();

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
