declare module "cometd/AckExtension" {
  import type { Extension } from "cometd";
  const AckExtension: new () => Extension;
  export default AckExtension;
}
