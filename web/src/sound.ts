/** Sounds that the page makes itself, and the level of the microphone. One AudioContext, made at the first click. */
let context: AudioContext | null = null;

function audio(): AudioContext {
  context ??= new AudioContext();
  void context.resume();
  return context;
}

const KEY_HZ: Record<string, [number, number]> = {
  "1": [697, 1209], "2": [697, 1336], "3": [697, 1477],
  "4": [770, 1209], "5": [770, 1336], "6": [770, 1477],
  "7": [852, 1209], "8": [852, 1336], "9": [852, 1477],
  "*": [941, 1209], "0": [941, 1336], "#": [941, 1477],
};

function beep(hz: readonly number[], at: number, seconds: number, gain: number): OscillatorNode[] {
  const ctx = audio();
  const envelope = ctx.createGain();
  envelope.gain.setValueAtTime(0, at);
  envelope.gain.linearRampToValueAtTime(gain, at + 0.01);
  envelope.gain.setValueAtTime(gain, at + seconds - 0.02);
  envelope.gain.linearRampToValueAtTime(0, at + seconds);
  envelope.connect(ctx.destination);
  return hz.map((frequency) => {
    const wave = new OscillatorNode(ctx, { frequency });
    wave.connect(envelope);
    wave.start(at);
    wave.stop(at + seconds);
    return wave;
  });
}

/** Lets the agent hear the key that was pressed; the digit itself travels as an event. */
export function keyClick(digit: string): void {
  const hz = KEY_HZ[digit];
  if (hz) beep(hz, audio().currentTime, 0.1, 0.05);
}

/** The ring of an incoming call: two short rings, a pause. */
export class Ringer {
  #timer: number | undefined;
  #playing: OscillatorNode[] = [];

  start(): void {
    if (this.#timer !== undefined) return;
    const ring = () => {
      const now = audio().currentTime;
      this.#playing = [...beep([880, 1108], now, 0.35, 0.08), ...beep([880, 1108], now + 0.5, 0.35, 0.08)];
    };
    ring();
    this.#timer = window.setInterval(ring, 3000);
  }

  stop(): void {
    window.clearInterval(this.#timer);
    this.#timer = undefined;
    for (const wave of this.#playing) wave.stop();
    this.#playing = [];
  }
}

/** Shows the level of a stream, 0 to 1, about 15 times a second. */
export class LevelMeter {
  #source: MediaStreamAudioSourceNode | null = null;
  #timer: number | undefined;

  show(stream: MediaStream | null, level: (value: number) => void): void {
    this.#source?.disconnect();
    this.#source = null;
    window.clearInterval(this.#timer);
    level(0);
    if (!stream) return;
    const analyser = new AnalyserNode(audio(), { fftSize: 1024 });
    this.#source = audio().createMediaStreamSource(stream);
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = window.setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const s of samples) sum += s * s;
      level(Math.min(1, Math.sqrt(sum / samples.length) * 3));
    }, 66);
  }
}
